// Photos go in here, and heads come to lie here.
import { button, el } from "../parts/dom";
import * as api from "./api";

export interface Acts {
  show(head: api.HeadInfo): void;
  added(heads: api.HeadInfo[], job: api.JobInfo): void;
  forget(head: api.HeadInfo): void;
  failed(error: unknown): void;
}

export class Shelf {
  readonly part: HTMLElement;
  private readonly list = el("ul", { class: "heads", "aria-label": "Heads" });
  private readonly jobs = el("ul", { class: "jobs", "aria-label": "Photos in work", "aria-live": "polite" });
  private readonly drop: HTMLElement;
  private readonly limit = el("span", { class: "soft" });

  constructor(private readonly acts: Acts) {
    const input = el("input", { type: "file", accept: "image/*,.heic,.heif,.avif,.jxl", multiple: true, id: "photos" });
    input.addEventListener("change", () => {
      this.take(input.files);
      input.value = "";
    });
    this.drop = el(
      "label",
      { class: "drop", for: "photos" },
      input,
      el("strong", {}, "Drop photos here"),
      el("span", {}, "or choose files, or paste"),
      this.limit,
    );
    this.part = el("div", { class: "shelf" }, this.drop, this.jobs, this.list);
    for (const kind of ["dragenter", "dragover"]) {
      window.addEventListener(kind, (event) => {
        event.preventDefault();
        this.drop.classList.add("over");
      });
    }
    window.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) this.drop.classList.remove("over");
    });
    window.addEventListener("drop", (event) => {
      event.preventDefault();
      this.drop.classList.remove("over");
      this.take(event.dataTransfer?.files);
    });
    window.addEventListener("paste", (event) => this.take(event.clipboardData?.files));
  }

  describe(service: api.Service): void {
    const minutes = Math.round(service.limits.session_seconds / 60);
    const size = Math.round(service.limits.photo_bytes / 2 ** 20);
    this.limit.textContent = `Up to ${size} MiB each. Kept in memory only, forgotten after ${minutes} minutes without use.`;
  }

  /** The heads, of which some are shown. */
  fill(heads: api.HeadInfo[], shown: string[]): void {
    this.list.replaceChildren(...heads.map((head) => this.card(head, shown.includes(head.id))));
  }

  /** A card for work that takes a while. */
  async watch(start: () => Promise<api.JobInfo>, title: string): Promise<void> {
    const bar = el("progress", { max: "1", value: "0", "aria-label": `Progress: ${title}` });
    const step = el("span", { class: "step" }, "Sending");
    const card = el("li", {}, el("span", { class: "title" }, title), bar, step);
    this.jobs.append(card);
    try {
      const job = await api.follow(await start(), (now) => {
        bar.value = now.share;
        step.textContent = now.step;
      });
      if (job.state === "failed") throw new Error(job.problem?.detail ?? "It came to nothing.");
      card.remove();
      this.acts.added(job.heads, job);
    } catch (error) {
      card.classList.add("failed");
      bar.remove();
      step.textContent = error instanceof Error ? error.message : String(error);
      card.append(button("×", `Dismiss: ${title}`, () => card.remove(), "plain"));
    }
  }

  private take(files: FileList | null | undefined): void {
    for (const file of files ?? []) void this.watch(() => api.upload(file), file.name);
  }

  private card(head: api.HeadInfo, shown: boolean): HTMLElement {
    const picture = el("img", { src: head.links.portrait, alt: "", width: "88", height: "88", loading: "lazy" });
    const { result } = head;
    const photos = result.photos?.length ?? 0;
    const about = head.kind === "person" ? `${photos} photo${photos === 1 ? "" : "s"}` : unsure(result.uncertainty_mm);
    const open = el("button", { type: "button", class: "open", "aria-pressed": `${shown}` }, picture, el("span", { class: "title" }, head.title), el("span", { class: "soft" }, about));
    open.addEventListener("click", () => this.acts.show(head));
    const away = button("×", `Forget ${head.title}`, () => this.acts.forget(head), "plain");
    return el("li", { class: head.kind }, open, away);
  }
}

function unsure(millimetres: number | undefined): string {
  return millimetres === undefined ? "" : `± ${millimetres.toFixed(1)} mm`;
}
