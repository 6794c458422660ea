/** A part of the drawing as a picture: discs of communities, edges, entities. Names and what is looked at are drawn over it. */

import { type Camera, fromAfar, type Shapes } from "./scene";

export interface Inks {
  edge: string;
  faint: string;
  disc: string;
  rim: string;
  kinds: string[];
}

/** `width` and `height` in pixels of the picture, of which `camera.zoom` is one for a unit; `ratio`: of them for one of the page. */
export interface Sheet {
  camera: Camera;
  width: number;
  height: number;
  ratio: number;
}

const AT_ONCE = 300;
/** Lines or discs of one path: a canvas takes longer than in proportion for long ones. */
const DOT = 1.3;
/** Pixels of the page that an entity's radius has at least. */

export function paintSheet(pen: OffscreenCanvasRenderingContext2D, shapes: Shapes, { camera, width, height, ratio }: Sheet, inks: Inks): void {
  const { zoom } = camera;
  const x = (at: number) => (at - camera.x) * zoom + width / 2;
  const y = (at: number) => (at - camera.y) * zoom + height / 2;
  const afar = fromAfar(zoom / ratio);
  pen.clearRect(0, 0, width, height);
  pen.lineCap = "round";

  pen.fillStyle = inks.disc;
  pen.strokeStyle = inks.rim;
  pen.lineWidth = ratio;
  for (let i = 0; i < shapes.circles.length; i += 3) {
    pen.beginPath();
    pen.arc(x(shapes.circles[i]!), y(shapes.circles[i + 1]!), shapes.circles[i + 2]! * zoom, 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
  }
  pen.strokeStyle = inks.faint;
  for (let i = 0; i < shapes.links.length; i += 5) {
    pen.lineWidth = shapes.links[i + 4]! * ratio;
    pen.beginPath();
    pen.moveTo(x(shapes.links[i]!), y(shapes.links[i + 1]!));
    pen.lineTo(x(shapes.links[i + 2]!), y(shapes.links[i + 3]!));
    pen.stroke();
  }
  pen.strokeStyle = inks.edge;
  lines();

  const least = DOT * ratio;
  const groups: number[][] = inks.kinds.map(() => []);
  for (let i = 0; i < shapes.x.length; i++) {
    const r = Math.max(least, shapes.radius[i]! * zoom);
    const [px, py] = [x(shapes.x[i]!), y(shapes.y[i]!)];
    if (px + r > 0 && py + r > 0 && px - r < width && py - r < height) groups[shapes.kind[i]!]?.push(i);
  }
  groups.forEach((group, kind) => {
    pen.fillStyle = inks.kinds[kind]!;
    for (let begin = 0; begin < group.length; begin += AT_ONCE) {
      pen.beginPath();
      for (const i of group.slice(begin, begin + AT_ONCE)) {
        const [px, py, r] = [x(shapes.x[i]!), y(shapes.y[i]!), Math.max(least, shapes.radius[i]! * zoom)];
        pen.moveTo(px + r, py);
        pen.arc(px, py, r, 0, 2 * Math.PI);
      }
      pen.fill();
    }
  });

  /** Edges of about one width go into one path. */
  function lines(): void {
    const scale = Math.max(0.5, Math.min(1.5, zoom / ratio));
    const held: number[][] = [];
    for (let i = 0; i < shapes.heads.length; i++) {
      if (shapes.between[i]) continue;
      const [a, b] = [shapes.heads[i]!, shapes.tails[i]!];
      const [ax, ay, bx, by] = [x(shapes.x[a]!), y(shapes.y[a]!), x(shapes.x[b]!), y(shapes.y[b]!)];
      if (Math.max(ax, bx) < 0 || Math.max(ay, by) < 0 || Math.min(ax, bx) > width || Math.min(ay, by) > height) continue;
      const wide = afar ? 1 : Math.max(1, Math.round(2 * scale * shapes.width[i]!));
      const path = (held[wide] ??= []);
      path.push(ax, ay, bx, by);
      if (path.length >= 4 * AT_ONCE) {
        stroke(path, wide);
        held[wide] = [];
      }
    }
    held.forEach(stroke);
  }

  function stroke(path: number[], wide: number): void {
    pen.lineWidth = (wide / 2) * ratio;
    pen.beginPath();
    for (let i = 0; i < path.length; i += 4) {
      pen.moveTo(path[i]!, path[i + 1]!);
      pen.lineTo(path[i + 2]!, path[i + 3]!);
    }
    pen.stroke();
  }
}
