/** The drawing of a graph. A worker paints what lies still as a picture, which follows every move at once and is painted anew
 * meanwhile; names, and what is looked at, are drawn over it. It knows entities and edges; what they mean stays outside. */

import { gestures } from "./gestures";
import type { Edge, Entity } from "./model";
import { Eye } from "./eye";
import { Letters, type Name, placeNames } from "./names";
import { emphasise, lookedAt, type Looks, looksOf, NOTHING } from "./over";
import { type Circle, circleAt, edgeAt, entityAt, fromAfar, type Places, type Scene, sceneOf, seat, STEP } from "./scene";
import type { Order, Painted } from "./sheet.worker";

export interface Listeners {
  onEntity: (id: string) => void;
  onExpand: (id: string) => void;
  onEdge: (key: string) => void;
  onPlaced: () => void;
}

export interface Seen {
  entities: { id: string; name: string; x: number; y: number }[];
  edges: { key: string; label: string; on: boolean }[];
  communities: { name: string; x: number; y: number }[];
  /** Those that had room. */
  names: string[];
}

const MARGIN = 0.25;
/** Of the view, on each side, that a picture holds more. */
const PAUSE = 100;
/** Milliseconds without a move before a picture that is only scaled is painted anew. */
const PADDING = 30;
const LABELLED_ZOOM = 0.6;
/** From which the words of edges are shown. */
const MOST_LABELS = 60;

export class Drawing {
  private readonly canvas = document.createElement("canvas");
  private readonly pen = this.canvas.getContext("2d")!;
  private readonly layouter = new Worker(new URL("./layout.worker.ts", import.meta.url), { type: "module" });
  private readonly painter = new Worker(new URL("./sheet.worker.ts", import.meta.url), { type: "module" });
  private readonly letters = new Letters();
  private readonly places = new Map<string, { x: number; y: number }>();
  private readonly stops: (() => void)[] = [];
  private looks!: Looks;
  private scene: Scene = sceneOf([], [], this.places);
  private served: Places | undefined;
  private entities: Entity[] = [];
  private edges: Edge[] = [];
  private readonly eye: Eye;
  private picture: Painted | undefined;
  private painting = 0;
  /** The state that the picture shows and the one that there is now. */
  private turn = 0;
  private layout = 0;
  private frameAsked = 0;
  private moved = 0;
  private later = 0;
  private fitting = true;
  private held = -1;
  private chosen = "";
  private marked: string[] = [];
  private framed: string[] = [];
  private looked = NOTHING;

  constructor(
    private readonly box: HTMLElement,
    private readonly on: Listeners,
  ) {
    this.eye = new Eye(box, () => {
      this.moved = performance.now();
      this.draw();
    });
    box.append(this.canvas);
    Object.assign(box, { drawing: this }); // what is drawn can be asked for there
    this.layouter.onmessage = ({ data }: MessageEvent<{ turn: number; places: Float32Array }>) => {
      if (data.turn === this.layout) this.put(data.places);
    };
    this.painter.onmessage = ({ data }: MessageEvent<Painted>) => {
      this.picture?.picture.close();
      this.picture = data;
      this.painting = 0;
      this.draw();
    };
    const restyle = () => {
      this.looks = looksOf(box);
      this.letters.forget();
      this.changed();
    };
    restyle();
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", restyle);
    const themed = new MutationObserver(restyle);
    themed.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    const sized = new ResizeObserver(() => this.draw());
    sized.observe(box);
    this.stops.push(
      () => dark.removeEventListener("change", restyle),
      () => themed.disconnect(),
      () => sized.disconnect(),
      gestures(box, {
        grab: (x, y) => (this.held = this.served ? -1 : this.entityAt(x, y, 2)) >= 0,
        drag: (x, y) => this.drag(x, y),
        drop: () => (this.held = -1),
        shift: (dx, dy) => this.eye.shift(dx, dy),
        zoom: (x, y, by) => this.eye.zoom(x, y, by),
        tap: (x, y, again, finger) => this.tap(x, y, again, finger ? 14 : 6),
        hover: (x, y) => (box.dataset.over = this.entityAt(x, y, 4) >= 0 || this.edgeAt(x, y, 4) >= 0 || this.closedAt(x, y) ? "1" : ""),
      }),
    );
  }

  /** Shows these and nothing else, the most important first. `served`: where they lie, all of them or most; else they are
   * placed here, and what is new beside what it belongs to. */
  show(entities: Entity[], edges: Edge[], served?: Places): void {
    const [before, shown] = [this.entities.length, this.scene.number];
    const same = served === this.served && before === entities.length && this.edges.length === edges.length && entities.every((e) => shown.has(e.id));
    this.fitting ||= served !== this.served || before === 0 || entities.length > 3 * before;
    if (served !== this.served) {
      this.places.clear(); // of another layout
      for (const [id, at] of served?.at ?? []) this.places.set(id, { x: at.x, y: at.y });
    }
    this.served = served;
    this.entities = entities;
    this.edges = edges;
    if (same) {
      this.rebuild();
      this.look();
    } else if (served || !entities.length) {
      this.layout++; // what is still being placed comes too late
      seat(entities, edges, this.places);
      this.settle();
    } else this.lay();
  }

  private lay(): void {
    const number = new Map(this.entities.map((e, i) => [e.id, i]));
    const ends = new Int32Array(this.edges.flatMap((e) => [number.get(e.head)!, number.get(e.tail)!]));
    const places = new Float32Array(2 * this.entities.length);
    this.entities.forEach((e, i) => {
      const at = this.places.get(e.id);
      places[2 * i] = at?.x ?? Number.NaN;
      places[2 * i + 1] = at?.y ?? Number.NaN;
    });
    this.layouter.postMessage({ turn: ++this.layout, edges: ends, places });
  }

  private put(places: Float32Array): void {
    this.entities.forEach((e, i) => this.places.set(e.id, { x: places[2 * i]!, y: places[2 * i + 1]! }));
    this.settle();
  }

  private settle(): void {
    this.rebuild();
    this.box.dataset.placed = String(this.entities.length);
    if (this.fitting) {
      this.fitting = false;
      this.eye.camera = this.eye.fitting(this.scene, this.everything(), PADDING);
    }
    this.look();
    this.draw();
    this.on.onPlaced();
  }

  private rebuild(): void {
    this.scene = sceneOf(this.entities, this.edges, this.places, this.served);
    this.looked = lookedAt(this.scene, this.chosen, this.marked);
    this.changed();
  }

  /** The picture is of another state now. */
  private changed(): void {
    this.turn++;
    const { x, y, radius, kind, heads, tails, width, between, circles, links } = this.scene;
    const order: Order = { shapes: { x, y, radius, kind, heads, tails, width, between, circles, links } };
    this.painter.postMessage(order);
    this.draw();
  }

  private draw(): void {
    this.frameAsked ||= requestAnimationFrame(() => {
      this.frameAsked = 0;
      this.compose();
    });
  }

  private compose(): void {
    const [width, height] = this.eye.size();
    const ratio = Math.min(2, devicePixelRatio || 1);
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== w) this.canvas.width = w;
    if (this.canvas.height !== h) this.canvas.height = h;
    if (!w || !h) return;
    const { pen } = this;
    const { camera } = this.eye;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, w, h);
    const { picture: held } = this;
    if (held) {
      const by = (camera.zoom * ratio) / held.sheet.camera.zoom;
      const left = (held.sheet.camera.x - camera.x) * camera.zoom * ratio + w / 2 - (held.sheet.width * by) / 2;
      const top = (held.sheet.camera.y - camera.y) * camera.zoom * ratio + h / 2 - (held.sheet.height * by) / 2;
      const sharp = Math.abs(by - 1) < 1e-6;
      pen.drawImage(held.picture, sharp ? Math.round(left) : left, sharp ? Math.round(top) : top, held.sheet.width * by, held.sheet.height * by);
    }
    const fits = this.fits(w, h, ratio);
    clearTimeout(this.later);
    if (fits === "roughly" && performance.now() - this.moved < PAUSE) this.later = setTimeout(() => this.draw(), PAUSE);
    else if (!this.painting && fits !== "exactly") {
      this.painting = this.turn;
      const sheet = {
        camera: { ...camera, zoom: camera.zoom * ratio },
        width: Math.round(w * (1 + 2 * MARGIN)),
        height: Math.round(h * (1 + 2 * MARGIN)),
        ratio,
      };
      const order: Order = { sheet, inks: this.looks, turn: this.turn };
      this.painter.postMessage(order);
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    emphasise(pen, this.scene, camera, width, height, this.looks, this.looked);
    for (const name of this.names(width, height)) {
      const ink = { text: this.looks.text, halo: this.looks.bg };
      const drawn = this.letters.picture(name.text, name.size, name.bold, ink, ratio);
      pen.drawImage(drawn, name.x - drawn.width / ratio / 2, name.y - drawn.height / ratio / 2, drawn.width / ratio, drawn.height / ratio);
    }
  }

  /** Whether the picture shows this state and all of the view, and at this zoom or about. */
  private fits(w: number, h: number, ratio: number): "exactly" | "roughly" | "no" {
    const held = this.picture;
    if (!held || held.turn !== this.turn || held.sheet.ratio !== ratio) return "no";
    const { sheet } = held;
    const { camera } = this.eye;
    const by = (camera.zoom * ratio) / sheet.camera.zoom;
    const [dx, dy] = [Math.abs(sheet.camera.x - camera.x) * camera.zoom * ratio, Math.abs(sheet.camera.y - camera.y) * camera.zoom * ratio];
    if (dx > (sheet.width * by - w) / 2 || dy > (sheet.height * by - h) / 2 || by > 1.4 || by < 0.6) return "no";
    return Math.abs(by - 1) < 1e-6 ? "exactly" : "roughly";
  }

  private names(width: number, height: number): Name[] {
    const { scene } = this;
    const { camera } = this.eye;
    const labels: number[] = [];
    if (camera.zoom >= LABELLED_ZOOM && !this.served) {
      for (let i = 0; i < scene.labels.length && labels.length < MOST_LABELS; i++) if (scene.labels[i]) labels.push(i);
    }
    const { entity, path, beside } = this.looked;
    return placeNames(scene, camera, width, height, [...(entity < 0 ? [] : [entity]), ...path, ...beside], labels, this.letters);
  }

  mark(chosen: string, path: string[]): void {
    this.chosen = chosen;
    this.marked = path;
    this.looked = lookedAt(this.scene, chosen, path);
    this.draw();
  }

  /** Shows an entity with all that belongs to it, or several entities, once they have their places. */
  frame(ids: string[]): void {
    this.framed = ids;
  }

  private look(): void {
    const { scene } = this;
    const numbers = this.framed.flatMap((id) => scene.number.get(id) ?? []);
    const alone = this.framed.length === 1;
    this.framed = [];
    if (!numbers.length) return;
    if (alone) {
      const own = numbers[0]!;
      // a graph that the server placed may have neighbours everywhere: those of its community do
      const near = (other: number) => !this.served || Math.hypot(scene.x[own]! - scene.x[other]!, scene.y[own]! - scene.y[other]!) < 12 * STEP;
      scene.heads.forEach((a, i) => {
        const b = scene.tails[i]!;
        if ((a === own && near(b)) || (b === own && near(a))) numbers.push(a === own ? b : a);
      });
    }
    this.eye.fly(this.eye.fitting(scene, numbers, 50, this.served ? 1.2 : 1.6));
  }

  /** Moves there if it cannot be seen. */
  reveal(id: string): void {
    const i = this.scene.number.get(id);
    if (i === undefined) return;
    const [width, height] = this.eye.size();
    const { camera } = this.eye;
    const [x, y] = [this.scene.x[i]!, this.scene.y[i]!];
    const off = Math.abs(x - camera.x) * camera.zoom > width / 2 - 20 || Math.abs(y - camera.y) * camera.zoom > height / 2 - 20;
    if (off || camera.zoom < 0.4) this.eye.fly({ x, y, zoom: camera.zoom < 0.4 ? 0.9 : camera.zoom });
  }

  /** The nearest entity in a direction, for arrow keys; from the middle of the view where none is chosen. */
  toward(dx: number, dy: number): string | undefined {
    const from = this.places.get(this.chosen) ?? this.eye.camera;
    let best: [number, string] | undefined;
    this.scene.ids.forEach((id, i) => {
      if (id === this.chosen) return;
      const along = (this.scene.x[i]! - from.x) * dx + (this.scene.y[i]! - from.y) * dy;
      const across = Math.abs((this.scene.x[i]! - from.x) * dy - (this.scene.y[i]! - from.y) * dx);
      if (along <= 0 || across > along) return;
      const far = along + 2 * across;
      if (!best || far < best[0]) best = [far, id];
    });
    return best?.[1];
  }

  zoom(by: number): void {
    const [width, height] = this.eye.size();
    this.eye.zoom(width / 2, height / 2, by);
  }

  fit(): void {
    this.eye.fly(this.eye.fitting(this.scene, this.everything(), PADDING));
  }

  private everything(): number[] {
    return this.scene.ids.map((_, i) => i);
  }

  /** What is shown next fills the view. */
  refit(): void {
    this.fitting = true;
  }

  /** What is drawn, with places in pixels of the box. */
  seen(): Seen {
    const [width, height] = this.eye.size();
    const { scene } = this;
    const { camera } = this.eye;
    const at = (x: number, y: number) => ({ x: (x - camera.x) * camera.zoom + width / 2, y: (y - camera.y) * camera.zoom + height / 2 });
    const ways = new Set(this.looked.ways);
    return {
      entities: scene.ids.map((id, i) => ({ id, name: scene.names[i]!, ...at(scene.x[i]!, scene.y[i]!) })),
      edges: scene.keys.map((key, i) => ({ key, label: scene.labels[i]!, on: ways.has(i) })),
      communities: scene.communities.map((c) => ({ name: c.name, ...at(c.x, c.y) })),
      names: this.names(width, height).map((name) => name.text),
    };
  }

  close(): void {
    for (const stop of this.stops) stop();
    cancelAnimationFrame(this.frameAsked);
    clearTimeout(this.later);
    this.eye.stop();
    this.layouter.terminate();
    this.painter.terminate();
    this.picture?.picture.close();
    this.canvas.remove();
  }

  // ------------------------------------------------------------------ hands
  private entityAt(x: number, y: number, reach: number): number {
    return entityAt(this.scene, ...this.eye.world(x, y), reach / this.eye.camera.zoom);
  }

  private edgeAt(x: number, y: number, reach: number): number {
    const around = new Set(this.looked.around);
    const seen = (i: number) => around.has(i) || !this.scene.between[i];
    return edgeAt(this.scene, ...this.eye.world(x, y), reach / this.eye.camera.zoom, seen);
  }

  /** The community there, where its entities cannot be told apart. */
  private closedAt(x: number, y: number): Circle | undefined {
    return fromAfar(this.eye.camera.zoom) ? circleAt(this.scene, ...this.eye.world(x, y)) : undefined;
  }

  private tap(x: number, y: number, again: boolean, reach: number): void {
    const closed = this.closedAt(x, y);
    if (closed) {
      const [width, height] = this.eye.size();
      const zoom = Math.min(width, height) / (2.1 * closed.radius);
      this.eye.fly({ x: closed.x, y: closed.y, zoom: Math.min(1.2, Math.max(zoom, this.eye.camera.zoom * 1.5)) });
      return;
    }
    const entity = this.entityAt(x, y, reach);
    if (entity >= 0) {
      const id = this.scene.ids[entity]!;
      if (again) this.on.onExpand(id);
      else this.on.onEntity(id);
      return;
    }
    const edge = this.edgeAt(x, y, reach);
    if (edge >= 0) this.on.onEdge(this.scene.keys[edge]!);
  }

  private drag(x: number, y: number): void {
    const [wx, wy] = this.eye.world(x, y);
    this.places.set(this.scene.ids[this.held]!, { x: wx, y: wy });
    this.scene.x[this.held] = wx;
    this.scene.y[this.held] = wy;
    this.changed();
  }

}
