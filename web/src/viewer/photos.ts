// The photo beside the head, or behind it in its fitted camera.
import type { Photo } from "../head";
import { el } from "../parts/dom";

export type PhotoPlace = "off" | "beside" | "behind";

export class PhotoPlaces {
  where: PhotoPlace = "off";
  onShow: (where: PhotoPlace) => void = () => {};

  private readonly behind = el("img", { class: "behind", alt: "", hidden: true });
  private readonly urls = new Map<Photo, string>();

  /** @param box holds the canvas. @param beside the figure next to it. */
  constructor(
    box: HTMLElement,
    private readonly beside: HTMLElement,
    private readonly canvas: HTMLCanvasElement,
  ) {
    box.append(this.behind);
  }

  show(where: PhotoPlace, photo: Photo | null, name: string): void {
    this.where = photo ? where : "off";
    this.behind.hidden = this.where !== "behind";
    this.beside.hidden = this.where !== "beside";
    this.canvas.classList.toggle("over", this.where === "behind");
    if (photo && this.where === "behind") this.behind.src = this.url(photo);
    if (photo && this.where === "beside") {
      this.beside.replaceChildren(el("img", { src: this.url(photo), alt: `Photo of ${name}` }));
    }
    this.onShow(this.where);
  }

  private url(photo: Photo): string {
    const known = this.urls.get(photo) ?? URL.createObjectURL(photo.image);
    this.urls.set(photo, known);
    return known;
  }
}
