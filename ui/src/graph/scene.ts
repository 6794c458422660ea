/** What is drawn, as arrays: entities by number, edges by the numbers of their ends, communities as discs. Lengths are of
 * the world, which a camera shows a part of. */

import { type Edge, type Entity, keyOf, KINDS } from "./model";

export interface Circle {
  name: string;
  size: number;
  x: number;
  y: number;
  radius: number;
}

/** Where the server placed a graph that is looked at as a whole. */
export interface Places {
  at: Map<string, { x: number; y: number; circle: number }>;
  circles: Circle[];
}

/** What a sheet is painted from; it can be sent to a worker. */
export interface Shapes {
  x: Float32Array;
  y: Float32Array;
  radius: Float32Array;
  kind: Uint8Array;
  heads: Int32Array;
  tails: Int32Array;
  width: Float32Array;
  /** 1 of edges that lead from one community to another; `links` stand for them. */
  between: Uint8Array;
  /** x, y, radius of each community. */
  circles: Float32Array;
  /** x and y of both ends and the width, of what joins communities. */
  links: Float32Array;
}

export interface Scene extends Shapes {
  ids: string[];
  names: string[];
  keys: string[];
  labels: string[];
  number: Map<string, number>;
  communities: Circle[];
}

export interface Camera {
  /** The middle of the picture. */
  x: number;
  y: number;
  /** Pixels for a unit of length. */
  zoom: number;
}

export const SMALLEST = 3;
/** Entities of a community that is shown as one. */
export const STEP = 60;
/** From an entity to one that is placed beside it. */
const LINKS_FOR_EACH = 4;
const SEEN = 8;
/** Pixels between entities from which they can be told apart. */
const SPACING = 44;
/** Between entities that the server placed, in units. */

export function fromAfar(zoom: number): boolean {
  return zoom * SPACING < SEEN;
}

export function sceneOf(entities: Entity[], edges: Edge[], positions: Map<string, { x: number; y: number }>, places?: Places): Scene {
  const count = entities.length;
  const number = new Map(entities.map((e, i) => [e.id, i]));
  const most = Math.max(1, ...entities.map((e) => e.chunks));
  const [least, span] = places ? [4, 9] : [6, 13];
  const circle = Int32Array.from(entities, (e) => places?.at.get(e.id)?.circle ?? -1);
  const heads = Int32Array.from(edges, (e) => number.get(e.head)!);
  const tails = Int32Array.from(edges, (e) => number.get(e.tail)!);
  const communities = places?.circles.filter((c) => c.size >= SMALLEST) ?? [];
  return {
    x: Float32Array.from(entities, (e) => positions.get(e.id)?.x ?? 0),
    y: Float32Array.from(entities, (e) => positions.get(e.id)?.y ?? 0),
    radius: Float32Array.from({ length: count }, (_, i) => least + span * Math.sqrt(entities[i]!.chunks / most)),
    kind: Uint8Array.from(entities, (e) => KINDS.indexOf(e.kind)),
    heads,
    tails,
    width: Float32Array.from(edges, (e) => Math.min(6, 1 + Math.log2(1 + e.weight) / 2)),
    between: Uint8Array.from(edges, (_, i) => Number(circle[heads[i]!] !== circle[tails[i]!])),
    circles: Float32Array.from(communities.flatMap((c) => [c.x, c.y, c.radius])),
    links: places ? links(edges, circle, heads, tails, places.circles) : new Float32Array(0),
    ids: entities.map((e) => e.id),
    names: entities.map((e) => e.name),
    keys: edges.map(keyOf),
    labels: edges.map((e) => e.label ?? ""),
    number,
    communities,
  };
}

/** Of each community the strongest ties to others, as one line each. */
function links(edges: Edge[], circle: Int32Array, heads: Int32Array, tails: Int32Array, circles: Circle[]): Float32Array {
  const sums = new Map<number, number>();
  edges.forEach((edge, i) => {
    const [a, b] = [circle[heads[i]!]!, circle[tails[i]!]!];
    if (a < 0 || b < 0 || a === b) return;
    const pair = Math.min(a, b) * circles.length + Math.max(a, b);
    sums.set(pair, (sums.get(pair) ?? 0) + edge.weight);
  });
  const drawn = new Map<number, number>();
  const found: number[] = [];
  const sorted = [...sums].sort((a, b) => b[1] - a[1]);
  const most = sorted[0]?.[1] ?? 1;
  for (const [pair, sum] of sorted) {
    const [a, b] = [Math.floor(pair / circles.length), pair % circles.length];
    const [da, db] = [drawn.get(a) ?? 0, drawn.get(b) ?? 0];
    if (da >= LINKS_FOR_EACH && db >= LINKS_FOR_EACH) continue;
    drawn.set(a, da + 1).set(b, db + 1);
    found.push(circles[a]!.x, circles[a]!.y, circles[b]!.x, circles[b]!.y, Math.max(0.6, 7 * Math.sqrt(sum / most)));
  }
  return new Float32Array(found);
}

/** Gives what has no place one beside what it belongs to. */
export function seat(entities: Entity[], edges: Edge[], places: Map<string, { x: number; y: number }>): void {
  const lost = new Set(entities.filter((e) => !places.has(e.id)).map((e) => e.id));
  let turn = 0;
  for (const edge of lost.size ? edges : []) {
    for (const [id, other] of [[edge.head, edge.tail], [edge.tail, edge.head]] as const) {
      const at = places.get(other);
      if (!at || !lost.delete(id)) continue;
      const angle = 2.4 * turn++;
      places.set(id, { x: at.x + STEP * Math.cos(angle), y: at.y + STEP * Math.sin(angle) });
    }
  }
  for (const id of lost) places.set(id, { x: 2.4 * STEP * turn++, y: 0 });
}

/** The entity at a place, at most `reach` from its rim; the nearest of several. */
export function entityAt(scene: Scene, x: number, y: number, reach: number): number {
  let [best, near] = [-1, reach];
  for (let i = 0; i < scene.x.length; i++) {
    const off = Math.hypot(scene.x[i]! - x, scene.y[i]! - y) - scene.radius[i]!;
    if (off < near) [best, near] = [i, off];
  }
  return best;
}

export function edgeAt(scene: Scene, x: number, y: number, reach: number, seen: (edge: number) => boolean): number {
  let [best, near] = [-1, reach];
  for (let i = 0; i < scene.heads.length; i++) {
    if (!seen(i)) continue;
    const [ax, ay] = [scene.x[scene.heads[i]!]!, scene.y[scene.heads[i]!]!];
    const [dx, dy] = [scene.x[scene.tails[i]!]! - ax, scene.y[scene.tails[i]!]! - ay];
    const along = Math.max(0, Math.min(1, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)));
    const off = Math.hypot(ax + along * dx - x, ay + along * dy - y);
    if (off < near) [best, near] = [i, off];
  }
  return best;
}

export function circleAt(scene: Scene, x: number, y: number): Circle | undefined {
  return scene.communities.find((c) => Math.hypot(c.x - x, c.y - y) <= c.radius);
}
