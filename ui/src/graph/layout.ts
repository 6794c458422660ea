/** Places for the entities of a graph: springs along edges, repulsion between all (Fruchterman and Reingold, 1991), with
 * what is near counted one by one and what is far by the square it lies in. */

export interface Placing {
  /** Pairs of nodes: the ends of each edge, one after the other. */
  edges: Int32Array;
  /** x and y of each node, one after the other; NaN: it has no place yet. */
  places: Float32Array;
}

const LENGTH = 60;
/** Of an edge, in pixels at zoom 1. */
const FAR = 20;
/** Squares on a side, for what is far away. */
const NEAR_AT_MOST = 24;
/** Nodes of one small square that repel one by one. */
const GRAVITY = 0.25;
const GRAVITY_ALONE = 1;
/** Of entities without an edge, which would drift away. */

export function placed({ edges, places }: Placing): Float32Array {
  const count = places.length / 2;
  const settled = seated(edges, places);
  const turns = count > 3000 ? 90 : count > 600 ? 160 : 260;
  const whole = LENGTH * Math.sqrt(count);
  let heat = settled > 0.5 ? LENGTH : Math.max(LENGTH, whole / 6);
  const cooling = (1.5 / heat) ** (1 / turns);
  const degrees = new Float32Array(count);
  for (const end of edges) degrees[end]! += 1;
  const force = new Float32Array(2 * count);
  for (let turn = 0; turn < turns; turn++, heat *= cooling) {
    force.fill(0);
    repelledFar(places, force);
    repelledNear(places, force);
    for (let e = 0; e < edges.length; e += 2) {
      const a = edges[e]!;
      const b = edges[e + 1]!;
      const dx = places[2 * b]! - places[2 * a]!;
      const dy = places[2 * b + 1]! - places[2 * a + 1]!;
      // a hub would pull all its neighbours onto itself
      const pull = Math.hypot(dx, dy) / LENGTH / Math.sqrt(Math.min(degrees[a]!, degrees[b]!));
      force[2 * a]! += dx * pull;
      force[2 * a + 1]! += dy * pull;
      force[2 * b]! -= dx * pull;
      force[2 * b + 1]! -= dy * pull;
    }
    for (let i = 0; i < 2 * count; i += 2) {
      const gravity = degrees[i / 2] ? GRAVITY : GRAVITY_ALONE;
      const fx = force[i]! - gravity * places[i]!;
      const fy = force[i + 1]! - gravity * places[i + 1]!;
      const by = Math.hypot(fx, fy);
      const step = by > heat ? heat / by : 1;
      places[i]! += fx * step;
      places[i + 1]! += fy * step;
    }
  }
  return places;
}

/** Gives every node without a place one beside its neighbours, or on a spiral. Returns the share that had one. */
function seated(edges: Int32Array, places: Float32Array): number {
  const count = places.length / 2;
  const had = new Uint8Array(count);
  let known = 0;
  for (let i = 0; i < count; i++) if (!Number.isNaN(places[2 * i]!)) known += had[i] = 1;
  const near = new Int32Array(count).fill(-1);
  for (let e = 0; e < edges.length; e += 2) {
    const a = edges[e]!;
    const b = edges[e + 1]!;
    if (had[b] && !had[a]) near[a] = b;
    if (had[a] && !had[b]) near[b] = a;
  }
  for (let i = 0; i < count; i++) {
    if (had[i]) continue;
    const angle = i * 2.399963; // the golden angle: no two lie on one line
    const beside = near[i]!;
    const radius = beside < 0 ? LENGTH * Math.sqrt(i + 0.5) : LENGTH;
    places[2 * i] = Math.cos(angle) * radius + (beside < 0 ? 0 : places[2 * beside]!);
    places[2 * i + 1] = Math.sin(angle) * radius + (beside < 0 ? 0 : places[2 * beside + 1]!);
  }
  return count ? known / count : 0;
}

function push(places: Float32Array, force: Float32Array, i: number, x: number, y: number, mass: number): void {
  const dx = places[2 * i]! - x;
  const dy = places[2 * i + 1]! - y;
  const square = Math.max(dx * dx + dy * dy, 1);
  const by = (mass * LENGTH * LENGTH) / square;
  force[2 * i]! += dx * by;
  force[2 * i + 1]! += dy * by;
}

interface Grid {
  side: number;
  columns: number;
  rows: number;
  left: number;
  top: number;
}

function grid(places: Float32Array, side: (width: number, height: number) => number): Grid {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < places.length; i += 2) {
    left = Math.min(left, places[i]!);
    right = Math.max(right, places[i]!);
    top = Math.min(top, places[i + 1]!);
    bottom = Math.max(bottom, places[i + 1]!);
  }
  const long = Math.max(side(right - left, bottom - top), 1);
  return { side: long, columns: Math.floor((right - left) / long) + 1, rows: Math.floor((bottom - top) / long) + 1, left, top };
}

function column(g: Grid, x: number): number {
  return Math.floor((x - g.left) / g.side);
}

function row(g: Grid, y: number): number {
  return Math.floor((y - g.top) / g.side);
}

function repelledFar(places: Float32Array, force: Float32Array): void {
  const g = grid(places, (width, height) => Math.max(width, height) / FAR);
  const cells = g.columns * g.rows;
  const mass = new Float32Array(cells);
  const x = new Float32Array(cells);
  const y = new Float32Array(cells);
  for (let i = 0; i < places.length; i += 2) {
    const cell = row(g, places[i + 1]!) * g.columns + column(g, places[i]!);
    mass[cell]! += 1;
    x[cell]! += places[i]!;
    y[cell]! += places[i + 1]!;
  }
  const full: number[] = [];
  for (let cell = 0; cell < cells; cell++) if (mass[cell]) full.push(cell);
  for (let i = 0; i < places.length / 2; i++) {
    const own = row(g, places[2 * i + 1]!) * g.columns + column(g, places[2 * i]!);
    for (const cell of full) {
      const many = mass[cell]!;
      if (cell !== own) push(places, force, i, x[cell]! / many, y[cell]! / many, many);
    }
  }
}

function repelledNear(places: Float32Array, force: Float32Array): void {
  const count = places.length / 2;
  const g = grid(places, (width, height) => Math.max(2 * LENGTH, Math.sqrt((width * height) / 250_000)));
  const first = new Int32Array(g.columns * g.rows).fill(-1);
  const next = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const cell = row(g, places[2 * i + 1]!) * g.columns + column(g, places[2 * i]!);
    next[i] = first[cell]!;
    first[cell] = i;
  }
  for (let i = 0; i < count; i++) {
    const c = column(g, places[2 * i]!);
    const r = row(g, places[2 * i + 1]!);
    for (let dr = Math.max(0, r - 1); dr <= Math.min(g.rows - 1, r + 1); dr++) {
      for (let dc = Math.max(0, c - 1); dc <= Math.min(g.columns - 1, c + 1); dc++) {
        let seen = 0;
        for (let j = first[dr * g.columns + dc]!; j >= 0 && seen < NEAR_AT_MOST; j = next[j]!, seen++) {
          if (j !== i) push(places, force, i, places[2 * j]!, places[2 * j + 1]!, 1);
        }
      }
    }
  }
}
