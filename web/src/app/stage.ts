// The canvas with its toolbar: one head, or two, freely or over the photo.
import { Head, headsFromPack, HeadView, type Mode, type Photo } from "../head";
import { button, check, choice, el, slider } from "../parts/dom";
import { MODES, SIDES } from "../parts/looks";
import * as api from "./api";

const KEPT = 12; // decoded heads

export class Stage {
  readonly part: HTMLElement;
  /** Called when other heads are shown. */
  onShow: (shown: api.HeadInfo[]) => void = () => {};
  head: Head | null = null;
  info: api.HeadInfo | null = null;

  private readonly canvas = el("canvas", { tabindex: "0", role: "img", "aria-label": "No head yet" });
  private readonly photo = el("img", { class: "behind", alt: "" });
  private readonly names = el("div", { class: "names", "aria-hidden": "true" });
  private readonly view: HeadView;
  private readonly known = new Map<string, Promise<Head>>();
  private readonly own = new WeakMap<Head, Float32Array>(); // shapes of heads that were given another
  private readonly overlay: HTMLElement;
  private readonly over: ReturnType<typeof check>;
  private mode: Mode = "texture";
  private wire = false;
  private latest = 0;

  constructor() {
    const area = el("div", { class: "canvas" }, this.photo, this.canvas, this.names);
    this.photo.hidden = true;
    const modes = choice<Mode>("Surface", MODES, "texture", (mode) => {
      this.mode = mode;
      this.view.setMode(mode);
    });
    const looks = SIDES.map(([side, text]) =>
      button(text, `See the head from: ${text}`, () => {
        this.overPhoto(false);
        this.view.look(side);
      }),
    );
    const wires = check("Wireframe", (on) => {
      this.wire = on;
      this.view.setWireframe(on);
    });
    this.over = check("Over the photo", (on) => this.overPhoto(on));
    const opacity = slider("Head", [0, 1, 0.01], 1, (value) => (this.canvas.style.opacity = `${value}`));
    this.overlay = opacity.row;
    this.overlay.hidden = true;
    const bar = el("div", { class: "toolbar", role: "toolbar", "aria-label": "View" });
    bar.append(modes.row, ...looks, wires.row, this.over.row, this.overlay);
    this.part = el("div", { class: "stage" }, area, bar);
    this.view = new HeadView(this.canvas);
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  /** Shows one head, or two side by side. */
  async show(...infos: api.HeadInfo[]): Promise<void> {
    const turn = ++this.latest;
    this.part.classList.add("loading");
    try {
      const heads = await Promise.all(infos.map((info) => this.load(info)));
      if (turn !== this.latest) return;
      this.overPhoto(false);
      this.info = infos[0] ?? null;
      this.head = heads[0] ?? null;
      for (const head of heads) this.restore(head);
      this.view.show([...new Set(heads)]);
      this.view.setMode(this.mode);
      this.view.setWireframe(this.wire);
      this.over.row.hidden = infos.length !== 1;
      this.names.replaceChildren(...infos.map((info) => el("span", {}, info.title)));
      this.canvas.setAttribute("aria-label", `3D head: ${infos.map((info) => info.title).join(", ")}. Arrow keys turn it.`);
      this.canvas.dataset.shown = infos.map((info) => info.id).join(" ");
      this.view.render();
      this.onShow(infos);
    } finally {
      if (turn === this.latest) this.part.classList.remove("loading");
    }
  }

  clear(): void {
    this.latest++;
    this.overPhoto(false);
    this.view.show([]);
    this.view.render();
    this.names.replaceChildren();
    this.head = this.info = null;
    delete this.canvas.dataset.shown;
    this.canvas.setAttribute("aria-label", "No head yet");
  }

  forget(id: string): void {
    void this.known.get(id)?.then((head) => head.dispose());
    this.known.delete(id);
  }

  /** Vertices (3V,) at rest of the head that is shown, as it came. */
  get ownShape(): Float32Array | null {
    return this.head && (this.own.get(this.head) ?? this.head.data.positions);
  }

  /** Gives the head another shape: vertices (3V,) at rest. */
  reshape(positions: Float32Array): void {
    if (!this.head) return;
    if (!this.own.has(this.head)) this.own.set(this.head, this.head.data.positions.slice());
    this.head.data.positions.set(positions);
    this.head.setExpressions(this.head.expression.slice());
    this.view.requestRender();
    this.canvas.dataset.moved = `${Number(this.canvas.dataset.moved ?? 0) + 1}`;
  }

  /** Says whose shape the head has now; the skin stays. */
  rename(text: string): void {
    const first = this.names.firstElementChild;
    if (first) first.textContent = text;
  }

  private restore(head: Head): void {
    const positions = this.own.get(head);
    if (!positions) return;
    head.data.positions.set(positions);
    head.setExpressions(head.expression.slice());
  }

  setExpression(name: string, weight: number): void {
    this.head?.setExpression(name, weight);
    this.view.requestRender();
  }

  setExpressions(weights: ArrayLike<number>): void {
    this.head?.setExpressions(weights);
    this.view.requestRender();
  }

  private load(info: api.HeadInfo): Promise<Head> {
    const there = this.known.get(info.id);
    if (there) return there;
    const loading = api.bytes(info.links.pack).then(async (data) => {
      const [packed] = await headsFromPack(new Uint8Array(data));
      const head = new Head(packed);
      await head.load();
      return head;
    });
    this.known.set(info.id, loading);
    loading.catch(() => this.known.delete(info.id));
    const [oldest] = this.known.keys();
    if (this.known.size > KEPT && oldest !== info.id && oldest !== this.info?.id) this.forget(oldest);
    return loading;
  }

  /** Lays the head over its photo, under the camera that it was fitted with. */
  private overPhoto(on: boolean): void {
    const placed = this.info && placedOf(this.info);
    const shown = on && this.info && placed && this.head;
    this.over.set(Boolean(shown));
    this.photo.hidden = this.overlay.hidden = !shown;
    if (!shown) {
      this.canvas.style.opacity = "1";
      this.view.usePhotoCamera(null);
      return;
    }
    this.photo.src = this.info!.links.photo;
    this.photo.alt = `Photo: ${this.info!.title}`;
    const names = this.head!.data.rig.expressions.names;
    this.setExpressions(names.map((name) => placed.expression[name] ?? 0));
    this.view.usePhotoCamera(photoOf(placed));
  }

  private key(event: KeyboardEvent): void {
    const turns: Record<string, [number, number, number]> = {
      ArrowLeft: [-0.15, 0, 1], ArrowRight: [0.15, 0, 1], ArrowUp: [0, 0.15, 1], ArrowDown: [0, -0.15, 1],
      "+": [0, 0, 0.9], "-": [0, 0, 1.1],
    };
    const turn = turns[event.key];
    if (!turn || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.view.turn(...turn);
  }
}

/** Where a head is in its photo; a person's in the one that tells most. */
function placedOf(info: api.HeadInfo): api.Placed | null {
  const photos = info.result.photos;
  if (photos) return photos.reduce((a, b) => ((b.precision ?? 0) > (a.precision ?? 0) ? b : a));
  return info.result.camera ? (info.result as api.Placed) : null;
}

function photoOf(placed: api.Placed): Photo {
  const [width, height] = placed.photo_size;
  const { focal, center } = placed.camera;
  const { translation } = placed;
  return { image: new Blob(), width, height, focal, center, rotation: placed.rotation.flat(), translation };
}
