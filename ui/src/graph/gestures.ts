/** Mouse, pen and fingers on the drawing: what they mean, in pixels of its box. */

export interface Meaning {
  /** Something is taken hold of; false: nothing is there, so that moving shifts all. */
  grab: (x: number, y: number) => boolean;
  drag: (x: number, y: number) => void;
  drop: () => void;
  shift: (dx: number, dy: number) => void;
  zoom: (x: number, y: number, by: number) => void;
  tap: (x: number, y: number, again: boolean, finger: boolean) => void;
  hover: (x: number, y: number) => void;
}

const STILL = 6;
/** Pixels that a tap may move. */
const TWICE = 350;
/** Milliseconds between two taps that are one double tap. */
const WHEEL = 0.0016;
/** Of the zoom's logarithm, for a pixel of the wheel. */

/** Returns what ends it. */
export function gestures(box: HTMLElement, on: Meaning): () => void {
  const held = new Map<number, { x: number; y: number }>();
  let began = { x: 0, y: 0, moved: false, grabbed: false };
  let last = { x: 0, y: 0, at: -TWICE };
  const ending = new AbortController();
  const listen = <K extends keyof HTMLElementEventMap>(name: K, run: (event: HTMLElementEventMap[K]) => void) =>
    box.addEventListener(name, run, { signal: ending.signal, passive: false });
  const place = (event: MouseEvent) => {
    const frame = box.getBoundingClientRect();
    return { x: event.clientX - frame.left, y: event.clientY - frame.top };
  };

  listen("pointerdown", (event) => {
    if (event.button !== 0) return;
    const at = place(event);
    box.setPointerCapture(event.pointerId);
    held.set(event.pointerId, at);
    if (began.grabbed) on.drop();
    began = { ...at, moved: held.size > 1, grabbed: held.size === 1 && on.grab(at.x, at.y) };
  });
  listen("pointermove", (event) => {
    const at = place(event);
    const old = held.get(event.pointerId);
    if (!old) {
      if (event.pointerType === "mouse") on.hover(at.x, at.y);
      return;
    }
    if (held.size === 2) {
      const other = [...held].find(([id]) => id !== event.pointerId)![1];
      const middle = (p: typeof at) => ({ x: (p.x + other.x) / 2, y: (p.y + other.y) / 2 });
      const [from, to] = [middle(old), middle(at)];
      on.shift(to.x - from.x, to.y - from.y);
      on.zoom(to.x, to.y, Math.hypot(at.x - other.x, at.y - other.y) / Math.max(1, Math.hypot(old.x - other.x, old.y - other.y)));
    } else {
      began.moved ||= Math.hypot(at.x - began.x, at.y - began.y) > STILL;
      if (!began.moved) return;
      if (began.grabbed) on.drag(at.x, at.y);
      else on.shift(at.x - old.x, at.y - old.y);
    }
    held.set(event.pointerId, at);
  });
  const end = (event: PointerEvent) => {
    if (!held.delete(event.pointerId)) return;
    if (began.grabbed && began.moved) on.drop();
    if (event.type === "pointerup" && !began.moved) {
      const at = place(event);
      const again = event.timeStamp - last.at < TWICE && Math.hypot(at.x - last.x, at.y - last.y) < 3 * STILL;
      last = { ...at, at: again ? -TWICE : event.timeStamp };
      on.tap(at.x, at.y, again, event.pointerType !== "mouse");
    }
    began.grabbed = false;
    began.moved = true; // a second finger that stays is no tap
  };
  listen("pointerup", end);
  listen("pointercancel", end);
  listen("wheel", (event) => {
    event.preventDefault();
    const at = place(event);
    const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1);
    on.zoom(at.x, at.y, Math.exp(-Math.max(-200, Math.min(200, pixels)) * WHEEL * (event.ctrlKey ? 5 : 1)));
  });
  return () => ending.abort();
}
