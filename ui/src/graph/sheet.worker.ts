/** Paints sheets beside the page, which goes on moving the last one. */

import type { Shapes } from "./scene";
import { type Inks, paintSheet, type Sheet } from "./sheet";

export type Order = { shapes: Shapes } | { sheet: Sheet; inks: Inks; turn: number };
export interface Painted {
  sheet: Sheet;
  turn: number;
  picture: ImageBitmap;
}

const worker = self as unknown as {
  onmessage: ((event: MessageEvent<Order>) => void) | null;
  postMessage: (message: Painted, transfer: Transferable[]) => void;
};
const canvas = new OffscreenCanvas(1, 1);
const pen = canvas.getContext("2d")!;
let shapes: Shapes | undefined;

worker.onmessage = ({ data }) => {
  if ("shapes" in data) {
    shapes = data.shapes;
    return;
  }
  if (!shapes) return;
  const { sheet, inks, turn } = data;
  if (canvas.width !== sheet.width) canvas.width = sheet.width;
  if (canvas.height !== sheet.height) canvas.height = sheet.height;
  paintSheet(pen, shapes, sheet, inks);
  const picture = canvas.transferToImageBitmap();
  worker.postMessage({ sheet, turn, picture }, [picture]);
};
