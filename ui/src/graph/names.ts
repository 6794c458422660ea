/** Names on the drawing: as many as can be read, none on another. */

import { type Camera, fromAfar, type Scene } from "./scene";

export interface Ink {
  text: string;
  halo: string;
}

interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";
const LONGEST = 32;
const NARROW = 500;
/** Pixels of the drawing. */
const MOST = 130;
/** Names of entities at once. */
const LEGIBLE = 1.3;
/** Pixels of radius from which an entity has a name. */
const CELL = 64;
const KEPT = 900;

function short(name: string, longest = LONGEST): string {
  return name.length > longest ? `${name.slice(0, longest - 1)}…` : name;
}

/** Draws text with a halo, each kept as a picture: outlines take long. */
export class Letters {
  private readonly held = new Map<string, HTMLCanvasElement>();
  private readonly measure = document.createElement("canvas").getContext("2d")!;

  forget(): void {
    this.held.clear();
  }

  width(text: string, size: number, bold: boolean): number {
    this.measure.font = font(size, bold);
    return this.measure.measureText(text).width;
  }

  picture(text: string, size: number, bold: boolean, ink: Ink, ratio: number): HTMLCanvasElement {
    const key = `${size}/${bold}/${ink.text}/${ink.halo}/${ratio}/${text}`;
    let found = this.held.get(key);
    if (!found) {
      found = document.createElement("canvas");
      found.width = Math.ceil((this.width(text, size, bold) + 8) * ratio);
      found.height = Math.ceil((size + 8) * ratio);
      const pen = found.getContext("2d")!;
      pen.scale(ratio, ratio);
      pen.font = font(size, bold);
      pen.textBaseline = "middle";
      pen.lineJoin = "round";
      pen.lineWidth = 4;
      pen.strokeStyle = ink.halo;
      pen.strokeText(text, 4, size / 2 + 4);
      pen.fillStyle = ink.text;
      pen.fillText(text, 4, size / 2 + 4);
    } else this.held.delete(key);
    this.held.set(key, found);
    if (this.held.size > KEPT) this.held.delete(this.held.keys().next().value!);
    return found;
  }
}

function font(size: number, bold: boolean): string {
  return `${bold ? "600 " : ""}${size}px ${FONT}`;
}

/** What is taken, by squares of the picture. */
class Taken {
  private readonly cells = new Map<string, Box[]>();

  /** False where something is there already. */
  take(box: Box): boolean {
    const keys: string[] = [];
    for (let i = Math.floor(box.left / CELL); i <= Math.floor(box.right / CELL); i++) {
      for (let j = Math.floor(box.top / CELL); j <= Math.floor(box.bottom / CELL); j++) keys.push(`${i},${j}`);
    }
    for (const key of keys) {
      for (const other of this.cells.get(key) ?? []) {
        if (box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom) return false;
      }
    }
    for (const key of keys) {
      const held = this.cells.get(key);
      if (held) held.push(box);
      else this.cells.set(key, [box]);
    }
    return true;
  }
}

export interface Name {
  text: string;
  /** The middle of it, in pixels. */
  x: number;
  y: number;
  size: number;
  bold: boolean;
}

/** Names that have room, those of `first` before all others; entities are numbered by their importance. */
export function placeNames(scene: Scene, camera: Camera, width: number, height: number, first: number[], labels: number[], letters: Letters): Name[] {
  const { zoom } = camera;
  const [x, y] = [(at: number) => (at - camera.x) * zoom + width / 2, (at: number) => (at - camera.y) * zoom + height / 2];
  const taken = new Taken();
  const names: Name[] = [];
  const put = (text: string, px: number, py: number, size: number, bold: boolean): boolean => {
    const half = letters.width(text, size, bold) / 2 + 3;
    if (!taken.take({ left: px - half, right: px + half, top: py - size / 2 - 2, bottom: py + size / 2 + 2 })) return false;
    names.push({ text, x: px, y: py, size, bold });
    return true;
  };
  const entity = (i: number, bold: boolean) => {
    const r = Math.max(1.3, scene.radius[i]! * zoom);
    const [px, py] = [x(scene.x[i]!), y(scene.y[i]!) + r + 9];
    if (px < -60 || py < -10 || px > width + 60 || py > height + 10) return false;
    return put(short(scene.names[i]!), px, py, 13, bold);
  };
  first.forEach((i, at) => entity(i, at === 0));
  const afar = scene.communities.length > 0 && fromAfar(zoom);
  for (const circle of scene.communities) {
    const r = circle.radius * zoom;
    if (r < 9 || r > Math.max(width, height)) continue;
    const [px, py] = [x(circle.x), y(circle.y)];
    if (px + r < 0 || py + r < 0 || px - r > width || py - r > height) continue;
    const size = Math.round(Math.max(12, Math.min(16, 8 + r / 8)));
    const name = short(circle.name, width < NARROW ? LONGEST / 2 : LONGEST);
    const half = letters.width(name, size, true) / 2 + 6;
    // within the view, above its entities or in the middle where these cannot be told apart
    put(name, Math.max(half, Math.min(width - half, px)), Math.max(14, Math.min(height - 14, afar ? py : py - r)), size, true);
  }
  let left = MOST;
  for (let i = 0; i < scene.x.length && left > 0; i++) {
    if (!afar && scene.radius[i]! * zoom >= LEGIBLE && entity(i, false)) left--;
  }
  for (const edge of labels) {
    const [a, b] = [scene.heads[edge]!, scene.tails[edge]!];
    const [px, py] = [(x(scene.x[a]!) + x(scene.x[b]!)) / 2, (y(scene.y[a]!) + y(scene.y[b]!)) / 2];
    if (px > 0 && py > 0 && px < width && py < height) put(short(scene.labels[edge]!), px, py, 11, false);
  }
  return names;
}
