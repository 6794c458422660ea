/** Computes places beside the page, so that it can be used meanwhile. */

import { placed, type Placing } from "./layout";

const worker = self as unknown as {
  onmessage: ((event: MessageEvent<Placing & { turn: number }>) => void) | null;
  postMessage: (message: { turn: number; places: Float32Array }, transfer: Transferable[]) => void;
};

worker.onmessage = ({ data }) => {
  const places = placed(data);
  worker.postMessage({ turn: data.turn, places }, [places.buffer]);
};
