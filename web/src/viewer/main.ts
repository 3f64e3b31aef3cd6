// The page of `likeness view` and of notebooks: heads come packed in the page itself.
import { bytesFromBase64, Head, headsFromPack } from "../head";
import { el } from "../parts/dom";
import { Viewer } from "./viewer";
import "./viewer.css";

/** The viewer, as soon as all heads are there. */
export const ready: Promise<Viewer> = start();

async function start(): Promise<Viewer> {
  const place = document.getElementById("likeness") ?? document.body;
  try {
    const packed = document.getElementById("heads")?.textContent ?? "";
    const heads = (await headsFromPack(bytesFromBase64(packed))).map((data) => new Head(data));
    const viewer = new Viewer(place, heads);
    await Promise.all(heads.map((head) => head.load()));
    viewer.view.render();
    return viewer;
  } catch (error) {
    place.replaceChildren(el("p", { class: "failure", role: "alert" }, `The heads cannot be shown: ${told(error)}`));
    throw error;
  }
}

function told(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return /webgl/i.test(message) ? "this browser has no WebGL, or it is switched off." : message;
}
