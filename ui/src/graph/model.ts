/** The knowledge graph as the server tells it, and the part of it that is shown. */

import { get } from "../api";
import type { Circle, Places } from "./scene";

export const KINDS = ["name", "term", "identifier", "standard", "definition", "heading", "date", "number"] as const;
export type Kind = (typeof KINDS)[number];

export interface Entity {
  id: string;
  name: string;
  kind: Kind;
  aliases: string[];
  mentions: number;
  chunks: number;
}

export interface Evidence {
  uri: string;
  title: string;
  document_id: string;
  page: number | null;
  start: number;
  end: number;
  text: string;
  label: string;
  forward: boolean;
}

export interface Edge {
  head: string;
  tail: string;
  /** null: not told; the map of a whole graph has no labels. */
  label: string | null;
  weight: number;
  chunks: number;
  evidence?: Evidence[];
}

export interface Neighbourhood {
  entity: Entity;
  neighbours: Entity[];
  edges: Edge[];
  truncated: boolean;
}

export interface Path {
  entities: Entity[];
  edges: Edge[];
}

export interface GraphMap {
  entities: Entity[];
  /** Of each edge: the places of its ends in `entities`. */
  heads: number[];
  tails: number[];
  weights: number[];
  labels: string[] | null;
  x: number[];
  y: number[];
  /** Of each entity: its place in `communities`. */
  community: number[];
  communities: Circle[];
  /** Edges between these entities that stand out less. */
  hidden: number;
  truncated: boolean;
}

export interface Community {
  id: string;
  name: string;
  summary: string;
  entities: string[];
  chunks: number;
}

export interface Decision {
  kind: "merge" | "split";
  a: string;
  b: string;
  a_name: string;
  b_name: string;
  at: number;
  by: string;
}

export interface GraphStatus {
  chunks: number;
  waiting: number;
  entities: number;
  edges: number;
  decisions: number;
}

export function addressOf(collection: string, rest = "", query: Record<string, string | number | boolean> = {}): string {
  const given = Object.entries(query).filter(([, v]) => v !== "" && v !== false);
  const tail = given.length ? `?${new URLSearchParams(given.map(([k, v]) => [k, String(v)]))}` : "";
  return `/v1/collections/${encodeURIComponent(collection)}/graph${rest}${tail}`;
}

export function search(collection: string, q: string, signal: AbortSignal): Promise<Entity[]> {
  return get<{ entities: Entity[] }>(addressOf(collection, "/entities", { q, limit: 12 }), signal).then((found) => found.entities);
}

export function neighbourhood(collection: string, id: string, limit: number, signal?: AbortSignal): Promise<Neighbourhood> {
  return get(addressOf(collection, `/entities/${encodeURIComponent(id)}`, { limit }), signal);
}

/** Ends in either order name one edge. */
export function keyOf(edge: { head: string; tail: string }): string {
  return edge.head < edge.tail ? `${edge.head} ${edge.tail}` : `${edge.tail} ${edge.head}`;
}

/** What is drawn: it grows as entities are expanded. */
export class Shown {
  readonly entities = new Map<string, Entity>();
  readonly edges = new Map<string, Edge>();
  readonly expanded = new Set<string>();
  /** Where the server placed the whole graph, where that is shown. */
  served: Places | undefined;
  hidden = 0;

  add(entities: Iterable<Entity>, edges: Iterable<Edge>): void {
    for (const entity of entities) this.entities.set(entity.id, entity);
    for (const edge of edges) {
      const key = keyOf(edge);
      const old = this.edges.get(key);
      if (!this.entities.has(edge.head) || !this.entities.has(edge.tail)) continue;
      // a label that is known is not forgotten
      this.edges.set(key, old && edge.label === null ? { ...edge, label: old.label } : edge);
    }
  }

  addMap(map: GraphMap, whole: boolean): void {
    if (whole) this.served = { at: new Map(map.entities.map((e, i) => [e.id, { x: map.x[i]!, y: map.y[i]!, circle: map.community[i]! }])), circles: map.communities };
    this.hidden = map.hidden;
    const id = (place: number) => map.entities[place]!.id;
    this.add(
      map.entities,
      map.heads.map((head, i) => ({ head: id(head), tail: id(map.tails[i]!), label: map.labels?.[i] ?? null, weight: map.weights[i]!, chunks: 0 })),
    );
  }

  remove(id: string): void {
    this.entities.delete(id);
    this.expanded.delete(id);
    for (const [key, edge] of this.edges) if (edge.head === id || edge.tail === id) this.edges.delete(key);
  }
}
