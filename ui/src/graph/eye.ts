/** Which part of the world is seen, and how that changes: shifted, zoomed, flown. */

import type { Camera, Scene } from "./scene";

const [LEAST_ZOOM, MOST_ZOOM] = [0.02, 4];
const FLIGHT = 320;
/** Milliseconds. */

export class Eye {
  camera: Camera = { x: 0, y: 0, zoom: 1 };
  private flight = 0;

  constructor(
    private readonly box: HTMLElement,
    private readonly moved: () => void,
  ) {}

  size(): [number, number] {
    return [this.box.clientWidth, this.box.clientHeight];
  }

  /** What lies at a place of the box. */
  world(x: number, y: number): [number, number] {
    const [width, height] = this.size();
    return [(x - width / 2) / this.camera.zoom + this.camera.x, (y - height / 2) / this.camera.zoom + this.camera.y];
  }

  /** The camera that sees all of these entities. */
  fitting(scene: Scene, numbers: number[], padding: number, most = 1.6): Camera {
    const [width, height] = this.size();
    let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
    for (const i of numbers) {
      const r = scene.radius[i]!;
      left = Math.min(left, scene.x[i]! - r);
      right = Math.max(right, scene.x[i]! + r);
      top = Math.min(top, scene.y[i]! - r);
      bottom = Math.max(bottom, scene.y[i]! + r);
    }
    if (!numbers.length) return { x: 0, y: 0, zoom: 1 };
    const zoom = Math.min((width - 2 * padding) / Math.max(1, right - left), (height - 2 * padding) / Math.max(1, bottom - top), most);
    return { x: (left + right) / 2, y: (top + bottom) / 2, zoom: Math.max(LEAST_ZOOM, zoom) };
  }

  fly(to: Camera): void {
    cancelAnimationFrame(this.flight);
    const from = { ...this.camera };
    const began = performance.now();
    const long = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : FLIGHT;
    const step = (now: number) => {
      const part = long ? Math.min(1, Math.max(0, (now - began) / long)) : 1;
      const eased = part * (2 - part);
      const zoom = from.zoom * (to.zoom / from.zoom) ** eased;
      this.camera = { x: from.x + (to.x - from.x) * eased, y: from.y + (to.y - from.y) * eased, zoom };
      this.moved();
      if (part < 1) this.flight = requestAnimationFrame(step);
    };
    step(began);
  }

  shift(dx: number, dy: number): void {
    cancelAnimationFrame(this.flight);
    this.camera = { ...this.camera, x: this.camera.x - dx / this.camera.zoom, y: this.camera.y - dy / this.camera.zoom };
    this.moved();
  }

  zoom(x: number, y: number, by: number): void {
    cancelAnimationFrame(this.flight);
    const [wx, wy] = this.world(x, y);
    const zoom = Math.max(LEAST_ZOOM, Math.min(MOST_ZOOM, this.camera.zoom * by));
    const [width, height] = this.size();
    this.camera = { x: wx - (x - width / 2) / zoom, y: wy - (y - height / 2) / zoom, zoom };
    this.moved();
  }

  stop(): void {
    cancelAnimationFrame(this.flight);
  }
}
