/** The drawing of a graph on a canvas, by cytoscape. It knows entities and edges; what they mean stays outside. */

import cytoscape, { type Core, type EventObject, type NodeSingular } from "cytoscape";
import { type Edge, type Entity, keyOf, type Kind, KINDS } from "./model";

const LARGE = 1500;
/** Entities from which moving shows a picture of the graph, without edges, until it stands still. */
const NAME_LENGTH = 32;
const STYLESHEET = "__________cytoscape_stylesheet";

export interface Listeners {
  onEntity: (id: string) => void;
  onExpand: (id: string) => void;
  onEdge: (key: string) => void;
  onPlaced: () => void;
}

/** cytoscape writes a style element where none with this id is; the page's policy refuses it, and the one rule that it
 * holds stands in style.css. */
function withoutInlineStyle(): void {
  if (document.getElementById(STYLESHEET)) return;
  const stand = document.createElement("meta");
  stand.id = STYLESHEET;
  document.head.append(stand);
}

function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function kindColor(kind: Kind): string {
  return `--kind-${KINDS.indexOf(kind) + 1}`;
}

function style(): cytoscape.StylesheetJson {
  const [text, soft, border, accent, bg, mark] = ["--text", "--soft", "--graph-edge", "--accent", "--bg", "--line-2"].map(color) as [string, string, string, string, string, string];
  return [
    {
      selector: "node",
      style: {
        width: "data(size)",
        height: "data(size)",
        label: "data(short)",
        "font-size": 13,
        "font-family": "system-ui, sans-serif",
        color: text,
        "text-valign": "bottom",
        "text-margin-y": 3,
        "text-outline-color": bg,
        "text-outline-width": 2,
        "min-zoomed-font-size": 7,
        "overlay-opacity": 0,
      },
    },
    ...KINDS.map((kind) => ({ selector: `node.${kind}`, style: { "background-color": color(kindColor(kind)) } })),
    {
      selector: "edge",
      style: { width: "data(width)", "line-color": border, "curve-style": "haystack", "overlay-opacity": 0, opacity: 0.75 },
    },
    {
      selector: "edge.labelled",
      style: {
        "line-color": soft,
        label: "data(label)",
        "font-size": 10,
        "font-family": "system-ui, sans-serif",
        color: soft,
        "text-rotation": "autorotate",
        "text-outline-color": bg,
        "text-outline-width": 2,
        "min-zoomed-font-size": 9,
      },
    },
    { selector: "node.beside", style: { "border-width": 2, "border-color": accent } },
    { selector: "edge.on", style: { "line-color": mark, width: 4, opacity: 1, "z-index": 9 } },
    { selector: "node.on", style: { "border-width": 4, "border-color": mark } },
    { selector: "node.chosen", style: { "border-width": 4, "border-color": accent, "font-weight": "bold", "z-index": 10 } },
    { selector: "edge.chosen", style: { "line-color": accent, width: 5, opacity: 1, "z-index": 10 } },
  ] as cytoscape.StylesheetJson;
}

function short(name: string): string {
  return name.length > NAME_LENGTH ? `${name.slice(0, NAME_LENGTH - 1)}…` : name;
}

export class Drawing {
  private core: Core;
  private readonly worker = new Worker(new URL("./layout.worker.ts", import.meta.url), { type: "module" });
  private readonly places = new Map<string, { x: number; y: number }>();
  private readonly watching: (() => void)[] = [];
  private order: string[] = [];
  private turn = 0;
  private large = false;
  private fitting = true;
  private chosen = "";
  private marked: string[] = [];
  private framed: string[] = [];

  constructor(
    private readonly box: HTMLElement,
    private readonly on: Listeners,
  ) {
    withoutInlineStyle();
    this.core = this.made(false);
    this.worker.onmessage = ({ data }: MessageEvent<{ turn: number; places: Float32Array }>) => {
      if (data.turn === this.turn) this.put(data.places);
    };
    const restyle = () => this.core.style(style());
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", restyle);
    const themed = new MutationObserver(restyle);
    themed.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    const sized = new ResizeObserver(() => this.core.resize());
    sized.observe(box);
    this.watching.push(() => dark.removeEventListener("change", restyle), () => themed.disconnect(), () => sized.disconnect());
  }

  private made(large: boolean): Core {
    const core = cytoscape({
      container: this.box,
      style: style(),
      minZoom: 0.02,
      maxZoom: 4,
      boxSelectionEnabled: false,
      autounselectify: true,
      textureOnViewport: large,
      hideEdgesOnViewport: large,
      pixelRatio: large ? 1 : "auto",
    });
    core.on("tap", "node", (event: EventObject) => this.on.onEntity((event.target as NodeSingular).id()));
    core.on("dbltap", "node", (event: EventObject) => this.on.onExpand((event.target as NodeSingular).id()));
    core.on("tap", "edge", (event: EventObject) => this.on.onEdge(String(event.target.id())));
    core.on("dragfree", "node", (event: EventObject) => {
      const node = event.target as NodeSingular;
      this.places.set(node.id(), { ...node.position() });
    });
    return core;
  }

  /** Shows these and nothing else. What is new is placed beside what it belongs to. */
  show(entities: Entity[], edges: Edge[]): void {
    const large = entities.length > LARGE;
    if (large !== this.large) {
      this.core.destroy();
      this.core = this.made(large);
      this.large = large;
    }
    const wanted = new Set<string>(entities.map((e) => e.id));
    for (const edge of edges) wanted.add(keyOf(edge));
    const core = this.core;
    this.fitting ||= core.nodes().length === 0 || entities.length > 3 * core.nodes().length;
    const most = Math.max(1, ...entities.map((e) => e.chunks));
    const changed = core.elements().length !== wanted.size || entities.some((e) => core.getElementById(e.id).empty());
    core.batch(() => {
      core.elements().filter((element) => !wanted.has(element.id())).remove();
      core.add([
        ...entities
          .filter((e) => core.getElementById(e.id).empty())
          .map((e) => ({
            group: "nodes" as const,
            classes: e.kind,
            data: { id: e.id, short: short(e.name), size: 12 + 26 * Math.sqrt(e.chunks / most) },
            position: { ...(this.places.get(e.id) ?? { x: 0, y: 0 }) },
          })),
        ...edges
          .filter((e) => core.getElementById(keyOf(e)).empty())
          .map((e) => ({
            group: "edges" as const,
            classes: e.label ? "labelled" : "",
            data: { id: keyOf(e), source: e.head, target: e.tail, label: short(e.label ?? ""), width: Math.min(6, 1 + Math.log2(1 + e.weight) / 2) },
          })),
      ]);
    });
    if (changed) this.lay(entities, edges);
    else this.look();
    this.paint();
  }

  private lay(entities: Entity[], edges: Edge[]): void {
    this.order = entities.map((e) => e.id);
    const number = new Map(this.order.map((id, i) => [id, i]));
    const ends = new Int32Array(edges.flatMap((e) => [number.get(e.head)!, number.get(e.tail)!]));
    const places = new Float32Array(2 * entities.length);
    this.order.forEach((id, i) => {
      const at = this.places.get(id);
      places[2 * i] = at?.x ?? Number.NaN;
      places[2 * i + 1] = at?.y ?? Number.NaN;
    });
    this.worker.postMessage({ turn: ++this.turn, edges: ends, places });
  }

  private put(places: Float32Array): void {
    this.order.forEach((id, i) => this.places.set(id, { x: places[2 * i]!, y: places[2 * i + 1]! }));
    const still = this.still() || this.fitting;
    const layout = this.core.layout({
      name: "preset",
      positions: (node: NodeSingular | string) => this.places.get(typeof node === "string" ? node : node.id())!,
      animate: !still,
      animationDuration: 350,
      fit: this.fitting,
      padding: 30,
    } as unknown as cytoscape.LayoutOptions);
    this.fitting = false;
    layout.one("layoutstop", () => {
      this.box.dataset.placed = String(this.order.length);
      this.look();
      this.on.onPlaced();
    });
    layout.run();
  }

  private still(): boolean {
    return this.large || matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  private look(): void {
    const named = new Set(this.framed);
    let around: cytoscape.CollectionReturnValue = this.core.nodes().filter((node) => named.has(node.id()));
    if (named.size === 1) around = around.closedNeighborhood();
    this.framed = [];
    if (around.nonempty()) this.core.animate({ fit: { eles: around, padding: 50 }, duration: this.still() ? 0 : 300 });
  }

  /** The entity or edge that is looked at, and the path that is shown. */
  mark(chosen: string, path: string[]): void {
    this.chosen = chosen;
    this.marked = path;
    this.paint();
  }

  private paint(): void {
    const core = this.core;
    core.batch(() => {
      core.elements(".chosen, .on, .beside").removeClass("chosen on beside");
      for (const id of this.marked) core.getElementById(id).addClass("on");
      const chosen = core.getElementById(this.chosen) as cytoscape.CollectionReturnValue;
      chosen.addClass("chosen");
      chosen.neighborhood("node").addClass("beside");
      chosen.connectedNodes().addClass("beside");
    });
  }

  /** Shows an entity with all that belongs to it, or several entities, once they have their places. */
  frame(ids: string[]): void {
    this.framed = ids;
  }

  /** Moves there if it cannot be seen. */
  reveal(id: string): void {
    const element = this.core.getElementById(id);
    if (element.empty()) return;
    const view = this.core.extent();
    const box = element.boundingBox();
    const seen = box.x1 >= view.x1 && box.x2 <= view.x2 && box.y1 >= view.y1 && box.y2 <= view.y2;
    if (!seen) this.core.center(element);
    if (this.core.zoom() < 0.4) this.core.zoom({ level: 0.9, position: this.places.get(id) ?? { x: 0, y: 0 } });
  }

  /** The nearest entity in a direction, for arrow keys; from the middle of the view where none is chosen. */
  beside(dx: number, dy: number): string | undefined {
    const view = this.core.extent();
    const from = this.places.get(this.chosen) ?? { x: (view.x1 + view.x2) / 2, y: (view.y1 + view.y2) / 2 };
    let best: [number, string] | undefined;
    for (const id of this.order) {
      const at = this.places.get(id);
      if (!at || id === this.chosen) continue;
      const along = (at.x - from.x) * dx + (at.y - from.y) * dy;
      const across = Math.abs((at.x - from.x) * dy - (at.y - from.y) * dx);
      if (along <= 0 || across > along) continue;
      const far = along + 2 * across;
      if (!best || far < best[0]) best = [far, id];
    }
    return best?.[1];
  }

  zoom(by: number): void {
    const middle = { x: this.core.width() / 2, y: this.core.height() / 2 };
    this.core.zoom({ level: this.core.zoom() * by, renderedPosition: middle });
  }

  fit(): void {
    this.core.fit(undefined, 30);
  }

  /** What is shown next fills the view. */
  refit(): void {
    this.fitting = true;
  }

  close(): void {
    for (const stop of this.watching) stop();
    this.worker.terminate();
    this.core.destroy();
  }
}
