// The page of `likeness view`: heads come packed in the page itself.
import { bytesFromBase64, Head, headsFromPack, HeadView } from "../head";
import "./viewer.css";

async function start(): Promise<void> {
  const packed = document.getElementById("heads")?.textContent ?? "";
  const heads = (await headsFromPack(bytesFromBase64(packed))).map((data) => new Head(data));
  const canvas = document.querySelector("canvas") as HTMLCanvasElement;
  const view = new HeadView(canvas);
  view.show(heads.slice(0, 1));
  await Promise.all(heads.map((head) => head.load()));
  view.requestRender();
}

void start();
