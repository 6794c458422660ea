/** What is looked at, drawn over the picture, and the colours of it all. */

import { KINDS } from "./model";
import type { Camera, Scene } from "./scene";
import type { Inks } from "./sheet";

const AROUND = 600;
/** Edges of the chosen entity that are drawn, the strongest. */

export interface Looks extends Inks {
  text: string;
  bg: string;
  accent: string;
  mark: string;
}

/** What is looked at, by numbers: an entity or an edge with what belongs to it, and the path that is shown. */
export interface Looked {
  entity: number;
  edge: number;
  around: number[];
  beside: number[];
  path: number[];
  ways: number[];
}

export const NOTHING: Looked = { entity: -1, edge: -1, around: [], beside: [], path: [], ways: [] };

/** `chosen`: the id of an entity or the key of an edge; `path`: of both. */
export function lookedAt(scene: Scene, chosen: string, path: string[]): Looked {
  const entity = scene.number.get(chosen) ?? -1;
  const marked = new Set(path);
  const found: Looked = { ...NOTHING, entity, around: [], ways: [], path: path.flatMap((id) => scene.number.get(id) ?? []) };
  const beside = new Set<number>();
  scene.keys.forEach((key, i) => {
    const [a, b] = [scene.heads[i]!, scene.tails[i]!];
    if (key === chosen) {
      found.edge = i;
      beside.add(a).add(b);
    }
    if (marked.has(key)) found.ways.push(i);
    if (a === entity || b === entity) {
      found.around.push(i);
      beside.add(a === entity ? b : a);
    }
  });
  found.around.sort((a, b) => scene.width[b]! - scene.width[a]!).splice(AROUND);
  found.beside = [...beside].sort((a, b) => scene.radius[b]! - scene.radius[a]!);
  return found;
}

export function emphasise(pen: CanvasRenderingContext2D, scene: Scene, camera: Camera, width: number, height: number, looks: Looks, looked: Looked): void {
  const x = (i: number) => (scene.x[i]! - camera.x) * camera.zoom + width / 2;
  const y = (i: number) => (scene.y[i]! - camera.y) * camera.zoom + height / 2;
  const edge = (i: number, color: string, wide: number) => {
    pen.strokeStyle = color;
    pen.lineWidth = wide;
    pen.beginPath();
    pen.moveTo(x(scene.heads[i]!), y(scene.heads[i]!));
    pen.lineTo(x(scene.tails[i]!), y(scene.tails[i]!));
    pen.stroke();
  };
  const ring = (i: number, color: string, wide: number) => {
    pen.fillStyle = looks.kinds[scene.kind[i]!]!;
    pen.strokeStyle = color;
    pen.lineWidth = wide;
    pen.beginPath();
    pen.arc(x(i), y(i), Math.max(2.5, scene.radius[i]! * camera.zoom), 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
  };
  for (const i of looked.around) edge(i, looks.accent, 1.2);
  for (const i of looked.ways) edge(i, looks.mark, 4);
  if (looked.edge >= 0) edge(looked.edge, looks.accent, 5);
  for (const i of looked.beside) ring(i, looks.accent, 2);
  for (const i of looked.path) ring(i, looks.mark, 4);
  if (looked.entity >= 0) ring(looked.entity, looks.accent, 4);
}

/** Colours as they are now: the page's variables may hold one for light and one for dark. */
export function looksOf(box: HTMLElement): Looks {
  const probe = document.createElement("span");
  box.append(probe);
  const color = (name: string) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const looks = {
    text: color("text"),
    bg: color("bg"),
    accent: color("accent"),
    mark: color("line-2"),
    edge: color("graph-edge"),
    faint: color("graph-faint"),
    disc: color("graph-disc"),
    rim: color("border"),
    kinds: KINDS.map((_, i) => color(`kind-${i + 1}`)),
  };
  probe.remove();
  return looks;
}
