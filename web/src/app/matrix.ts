// How alike the heads are, as a table.
import { choice, el, section } from "../parts/dom";
import * as api from "./api";

type Measure = "millimetres" | "cosine" | "chance";

const SHOWN: Record<Measure, (value: number) => string> = {
  millimetres: (value) => value.toFixed(1),
  cosine: (value) => value.toFixed(2),
  chance: (value) => `${Math.round(100 * value)} %`,
};
/** How alike, 0 to 1. */
const ALIKE: Record<Measure, (value: number) => number> = {
  millimetres: (value) => Math.max(0, 1 - value / 4),
  cosine: (value) => Math.max(0, value),
  chance: (value) => value,
};
const NOTES: Record<Measure, string> = {
  millimetres: "RMS distance between the faces' shapes, in mm. Between two random people of the model: 4.4 (median; nine in ten pairs: 3.1 to 6.3).",
  cosine: "Cosine between the codes: 1 the same direction, 0 nothing in common.",
  chance: "Chance that both are one person, if that was as likely as not before; measured on photos of 60 people.",
};

export class MatrixView {
  readonly part: HTMLElement;
  private measure: Measure = "chance";
  private found: api.Matrix | null = null;
  private known: api.HeadInfo[] = [];
  private readonly table = el("table", { class: "matrix" });
  private readonly note = el("p", { class: "hint" });

  constructor(private readonly pair: (a: api.HeadInfo, b: api.HeadInfo) => void) {
    const measures = choice<Measure>(
      "Measure",
      [["chance", "Same person?"], ["millimetres", "Shape, mm"], ["cosine", "Code"]],
      this.measure,
      (measure) => {
        this.measure = measure;
        this.draw();
      },
    );
    const scroll = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Matrix of likeness" }, this.table);
    this.part = section("How alike they are", true, measures.row, scroll, this.note);
    this.part.hidden = true;
  }

  async update(heads: api.HeadInfo[]): Promise<void> {
    this.known = heads;
    this.part.hidden = heads.length < 2;
    if (heads.length < 2) return;
    this.found = await api.comparison();
    this.draw();
  }

  private draw(): void {
    const { found, measure } = this;
    if (!found) return;
    const rows = found.heads.map((id) => this.known.find((head) => head.id === id)).filter((head) => head !== undefined);
    const title = (head: api.HeadInfo, scope: string): HTMLElement =>
      el("th", { scope, title: head.title }, el("img", { src: head.links.portrait, alt: head.title, width: "36", height: "36" }));
    const header = el("tr", {}, el("td"), ...rows.map((head) => title(head, "col")));
    this.table.replaceChildren(el("thead", {}, header), el("tbody", {}, ...rows.map((a) => el("tr", {}, title(a, "row"), ...rows.map((b) => this.cell(a, b))))));
    this.note.textContent = NOTES[measure];
  }

  private cell(a: api.HeadInfo, b: api.HeadInfo): HTMLElement {
    if (a === b) return el("td", { class: "self" }, "–");
    const found = this.found!;
    const value = found[this.measure][found.heads.indexOf(a.id)][found.heads.indexOf(b.id)];
    const text = SHOWN[this.measure](value);
    const made = el("button", { type: "button", "aria-label": `${a.title} and ${b.title}: ${text}. Show both` }, text);
    made.addEventListener("click", () => this.pair(a, b));
    made.style.setProperty("--alike", `${Math.round(100 * ALIKE[this.measure](value))}%`);
    return el("td", {}, made);
  }
}
