// What the page does: one state, the view that shows it, and the panel that changes it.
import { distancesOf, heatGradient, HeadView, type Head, type Mode, type Side } from "../head";
import { button, check, choice, el, section, slider, type Choice, type Slider } from "../parts/dom";
import { expressions, type Expressions } from "../parts/expressions";
import { MODES, SIDES } from "../parts/looks";
import { identity, type Identity } from "./identity";
import { helpDialog, listen, type Key } from "./keys";
import { PhotoPlaces, type PhotoPlace } from "./photos";

type Comparison = "pair" | "blend" | "heat";

const COMPARISONS: [Comparison, string][] = [
  ["pair", "Side by side"],
  ["blend", "Blend"],
  ["heat", "Heat map"],
];
const HEAT = 5;

export class Viewer {
  readonly view: HeadView;
  first: Head;
  second: Head | null = null;

  private readonly canvas = el("canvas", { tabindex: "0", role: "application" });
  private readonly status = el("p", { class: "unseen", role: "status" });
  private readonly names = el("div", { class: "names" });
  private readonly legend = el("figure", { class: "legend", hidden: true });
  private readonly note = el("p", { class: "hint" });
  private readonly photos: PhotoPlaces;
  private readonly modes: Choice<Mode>;
  private readonly places: Choice<PhotoPlace>;
  private readonly comparisons: Choice<Comparison>;
  private readonly pickers: HTMLSelectElement[];
  private readonly share: Slider;
  private readonly most: Slider;
  private readonly expressions: Expressions;
  private readonly identity: Identity;
  private readonly wire: { set(on: boolean): void };
  private readonly compared = el("div", { class: "compared" });
  private readonly photoPart: HTMLElement;

  private mode: Mode;
  private comparison: Comparison = "pair";
  private blendShare = 0.5;
  private heatMost = HEAT;
  private isWired = false;
  private light: [number, number] = [0, 1];

  constructor(
    private readonly place: HTMLElement,
    private readonly heads: Head[],
  ) {
    this.first = heads[0];
    this.mode = this.first.isPainted ? "texture" : "shape";
    const box = el("div", { class: "canvas" });
    const beside = el("figure", { class: "beside", hidden: true });
    this.photos = new PhotoPlaces(box, beside, this.canvas);
    box.append(this.canvas, this.names, this.legend);
    place.className = "viewer";
    this.modes = choice("Surface", MODES, this.mode, (mode) => this.setMode(mode));
    const wire = check("Wireframe", (on) => this.setWireframe(on));
    this.wire = wire;
    this.places = choice<PhotoPlace>(
      "Photo",
      [["off", "Off"], ["beside", "Beside"], ["behind", "Behind"]],
      "off",
      (where) => this.setPhoto(where),
    );
    this.comparisons = choice("Compare by", COMPARISONS, "pair", (way) => this.setComparison(way));
    this.share = slider("Blend", [0, 1, 0.01], 0.5, (share) => this.setBlend(share), (v) => `${Math.round(100 * v)} %`);
    this.most = slider("Scale", [0.5, 20, 0.5], HEAT, (mm) => this.setHeatMost(mm), (v) => `${v} mm`);
    this.pickers = ["First head", "Second head"].map((label, i) => this.picker(label, i));
    this.expressions = expressions(
      (name, weight) => this.setExpression(name, weight),
      (weights) => this.setExpressions(weights),
      () => this.ownExpressions(),
    );
    this.identity = identity((deviations) => this.setIdentity(deviations));
    this.identity.part.open = heads.length === 1 && !this.first.data.photo;
    this.photoPart = this.photoSection();
    const keys = this.keys();
    const help = helpDialog(keys);
    const scene = el("div", { class: "scene" }, beside, box);
    const stage = el("main", { class: "stage" }, scene, this.toolbar(help));
    place.replaceChildren(stage, this.panel(wire.row), this.status, help);
    this.view = new HeadView(this.canvas);
    this.view.onMove = () => this.describe();
    listen(this.canvas, keys);
    this.refresh();
    this.view.look("three-quarter");
  }

  setMode(mode: Mode): void {
    this.mode = mode;
    this.modes.set(mode);
    if (this.comparison === "heat" && this.second) this.setComparison("pair");
    else this.view.setMode(mode);
    this.say(`Surface: ${mode}`);
  }

  setWireframe(on: boolean): void {
    this.isWired = on;
    this.wire.set(on);
    this.view.setWireframe(on);
  }

  /** A weight of every head that is shown and has the expression. */
  setExpression(name: string, weight: number): void {
    for (const head of this.shown()) head.setExpression(name, weight);
    this.afterShape();
  }

  setExpressions(weights: Record<string, number>): void {
    for (const head of this.shown()) head.setExpressions(head.data.rig.expressions.names.map((n) => weights[n] ?? 0));
    this.fillSliders();
    this.afterShape();
  }

  ownExpressions(): void {
    for (const head of this.shown()) head.setExpressions(head.data.weights);
    this.fillSliders();
    this.afterShape();
  }

  /** Standard deviations of the first head along its identity directions. */
  setIdentity(deviations: number[]): void {
    deviations.forEach((value, i) => this.first.setIdentity(i, value));
    this.afterShape();
  }

  /** Shows other heads; null: no second one. */
  setHeads(first: Head, second: Head | null): void {
    [this.first, this.second] = [first, second];
    if (second && !this.isComparable()) this.comparison = "pair";
    this.refresh();
  }

  swap(): void {
    if (!this.second) return;
    this.setHeads(this.second, this.first);
    this.say(`First: ${this.first.data.name}`);
  }

  setComparison(way: Comparison): void {
    this.comparison = way;
    this.refresh();
  }

  setBlend(share: number): void {
    this.blendShare = share;
    this.afterShape();
  }

  setPhoto(where: PhotoPlace): void {
    const { photo } = this.first.data;
    this.photos.show(photo ? where : "off", photo, this.first.data.name);
    this.places.set(photo ? where : "off");
    const behind = photo !== null && where === "behind";
    if (behind) this.ownExpressions();
    this.view.usePhotoCamera(behind ? photo : null);
    if (photo && where === "beside") this.view.lookAsPhoto(photo);
    this.layout();
    this.say(`Photo: ${where}`);
  }

  private setHeatMost(mm: number): void {
    this.heatMost = mm;
    this.afterShape();
  }

  private shown(): Head[] {
    return this.second ? [this.first, this.second] : [this.first];
  }

  /** Whether the two heads have the same vertices. */
  private isComparable(): boolean {
    const [a, b] = [this.first.data.rig, this.second?.data.rig];
    return b !== undefined && (a === b || (a.count === b.count && String(a.triangles) === String(b.triangles)));
  }

  private refresh(): void {
    const two = this.second !== null;
    const comparable = this.isComparable();
    const why = "Only heads of one topology have a vertex for each of the other's";
    for (const way of ["blend", "heat"] as const) this.comparisons.enable(way, comparable, why);
    this.comparisons.set(this.comparison);
    this.compared.hidden = !two;
    this.pickers[0].value = `${this.heads.indexOf(this.first)}`;
    this.pickers[1].value = this.second ? `${this.heads.indexOf(this.second)}` : "";
    this.photoPart.hidden = this.first.data.photo === null;
    this.note.textContent = this.first.data.note;
    this.note.hidden = !this.first.data.note;
    this.fillSliders();
    this.photos.show(this.first.data.photo ? this.photos.where : "off", this.first.data.photo, this.first.data.name);
    this.places.set(this.photos.where);
    this.view.usePhotoCamera(this.photos.where === "behind" ? this.first.data.photo : null);
    this.layout();
    this.afterShape();
  }

  private fillSliders(): void {
    this.expressions.fill(this.first.data.rig.expressions.names, this.first.expression);
    this.identity.fill(this.first.data.rig.directions.names, this.first.identity);
  }

  /** Which heads are drawn, with what on them and what over them. */
  private layout(): void {
    const isPair = this.second !== null && this.comparison === "pair" && this.photos.where !== "behind";
    this.view.show(isPair ? this.shown() : [this.first]);
    const isHeat = this.second !== null && this.comparison === "heat";
    this.view.setMode(isHeat ? "heat" : this.mode);
    this.view.setWireframe(this.isWired);
    this.legend.hidden = !isHeat;
    this.share.row.hidden = this.comparison !== "blend";
    this.most.row.hidden = this.comparison !== "heat";
    const labels = isPair ? this.shown() : [this.first];
    this.names.replaceChildren(...labels.map((head) => el("span", {}, head.data.name)));
    this.names.hidden = this.second === null;
    this.describe();
  }

  /** After vertices have changed: blend, heat map and picture. */
  private afterShape(): void {
    const target = this.second;
    const isBlend = target !== null && this.comparison === "blend";
    this.first.blend(isBlend ? target.vertices() : null, this.blendShare);
    target?.blend(null, 0);
    if (target && this.comparison === "heat") this.showHeat(target);
    this.view.requestRender();
  }

  private showHeat(other: Head): void {
    const { face } = this.first.data.rig;
    const apart = distancesOf(this.first.vertices(false), other.vertices(false), face);
    this.first.setHeat(apart.distances, this.heatMost);
    const bar = el("div", { class: "bar" });
    bar.style.background = heatGradient();
    const where = face ? "face" : "surface";
    const told = `${this.first.data.name} and ${other.data.name} at rest: ${apart.rms.toFixed(2)} mm apart (RMS, ${where})`;
    this.legend.replaceChildren(
      bar,
      el("div", { class: "ticks" }, el("span", {}, "0"), el("span", {}, `${this.heatMost} mm`)),
      el("figcaption", {}, told),
    );
  }

  private picker(label: string, number: number): HTMLSelectElement {
    const options = this.heads.map((head, i) => el("option", { value: `${i}` }, head.data.name));
    const none = number === 1 ? [el("option", { value: "" }, "none")] : [];
    const select = el("select", { "aria-label": label }, ...none, ...options);
    select.addEventListener("change", () => {
      const chosen = select.value === "" ? null : this.heads[Number(select.value)];
      if (number === 0 && chosen) this.setHeads(chosen, this.second === chosen ? null : this.second);
      if (number === 1) this.setHeads(this.first, chosen === this.first ? null : chosen);
    });
    return select;
  }

  private photoSection(): HTMLElement {
    const opacity = slider(
      "Head over photo",
      [0, 1, 0.01],
      1,
      (value) => (this.canvas.style.opacity = this.photos.where === "behind" ? `${value}` : ""),
      (value) => `${Math.round(100 * value)} %`,
    );
    this.photos.onShow = (where) => {
      opacity.row.hidden = where !== "behind";
      if (where !== "behind") this.canvas.style.opacity = "";
      opacity.set(1);
    };
    opacity.row.hidden = true;
    return section("Photo", true, this.places.row, opacity.row);
  }

  private panel(wire: HTMLElement): HTMLElement {
    const turn = slider("Light from", [-180, 180, 5], 0, (v) => this.setLight(v, this.light[1]), (v) => `${v}°`);
    const bright = slider("Brightness", [0.3, 2, 0.05], 1, (v) => this.setLight(this.light[0], v));
    this.compared.append(
      this.comparisons.row,
      this.share.row,
      this.most.row,
      el("div", { class: "chips" }, button("Swap", "Swap the two heads (S)", () => this.swap())),
    );
    const [one, other] = this.pickers;
    const several = this.heads.length > 1;
    const compare = section(several ? "Heads" : "About", true, el("div", { class: "pick" }, one, other), this.note, this.compared);
    if (!several) {
      one.hidden = other.hidden = true;
      compare.hidden = !this.first.data.note;
    }
    const title = el("h1", {}, several ? `${this.heads.length} heads` : this.first.data.name);
    return el(
      "aside",
      { class: "panel", "aria-label": "Controls" },
      el("header", {}, title),
      compare,
      section("Look", true, this.modes.row, wire, turn.row, bright.row),
      this.photoPart,
      this.expressions.part,
      this.identity.part,
    );
  }

  private setLight(degrees: number, brightness: number): void {
    this.light = [degrees, brightness];
    this.view.setLight((degrees * Math.PI) / 180, brightness);
  }

  private toolbar(help: HTMLDialogElement): HTMLElement {
    const sides = SIDES.map(([side, text]) => button(text, `See the head from: ${text}`, () => this.look(side)));
    return el(
      "div",
      { class: "toolbar", role: "toolbar", "aria-label": "View" },
      ...sides,
      el("span", { class: "gap" }),
      button("Save PNG", "Save what is seen as a picture", () => void this.savePicture()),
      button("Panel", "Show or hide the controls", () => this.place.classList.toggle("bare")),
      button("◐", "Light or dark page", () => this.toggleTheme()),
      button("?", "Keys and gestures", () => help.showModal()),
    );
  }

  private look(side: Side): void {
    if (this.photos.where === "behind") this.setPhoto("off");
    this.view.look(side);
    this.say(`Seen from: ${side}`);
  }

  private toggleTheme(): void {
    const { dataset } = document.documentElement;
    const isDark = dataset.theme ? dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    dataset.theme = isDark ? "light" : "dark";
  }

  private async savePicture(): Promise<void> {
    const picture = await this.view.picture();
    if (!picture) return;
    const link = el("a", { href: URL.createObjectURL(picture), download: `${this.first.data.name}.png` });
    link.click();
    URL.revokeObjectURL(link.href);
  }

  private keys(): Key[] {
    const step = Math.PI / 24;
    const ways: Record<string, [number, number]> = {
      ArrowLeft: [-step, 0],
      ArrowRight: [step, 0],
      ArrowUp: [0, step],
      ArrowDown: [0, -step],
    };
    const photoPlaces: PhotoPlace[] = ["off", "beside", "behind"];
    return [
      { keys: Object.keys(ways), told: "Turn the view", act: (key) => this.turn(...ways[key]) },
      { keys: ["+", "="], told: "Nearer", act: () => this.turn(0, 0, 1 / 1.1) },
      { keys: ["-"], told: "Farther", act: () => this.turn(0, 0, 1.1) },
      { keys: ["0", "Home"], told: "From the front, fitting", act: () => this.look("front") },
      { keys: ["1", "2", "3"], told: "Texture, shape, normals", act: (key) => this.setMode(MODES[Number(key) - 1][0]) },
      { keys: ["w"], told: "Wireframe", act: () => this.setWireframe(!this.isWired) },
      { keys: ["n"], told: "Neutral expression", act: () => this.setExpressions({}) },
      {
        keys: ["p"],
        told: "Photo beside, behind, off",
        act: () => this.setPhoto(photoPlaces[(photoPlaces.indexOf(this.photos.where) + 1) % 3]),
      },
      { keys: ["s"], told: "Swap two heads", act: () => this.swap() },
      { keys: ["h"], told: "Heat map of two heads", act: () => this.isComparable() && this.setComparison("heat") },
    ];
  }

  private turn(azimuth: number, elevation: number, factor = 1): void {
    if (this.photos.where === "behind") this.setPhoto("off");
    this.view.turn(azimuth, elevation, factor);
    const [left, up] = this.view.direction.map(Math.round);
    this.say(`${Math.abs(left)} degrees to the ${left < 0 ? "right" : "left"}, ${up} up`);
  }

  /** The canvas's name: what is seen, for those who do not see it. */
  private describe(): void {
    const names = this.names.childElementCount > 1 ? this.shown() : [this.first];
    const [left] = this.view.direction.map(Math.round);
    const side = left === 0 ? "the front" : `${Math.abs(left)} degrees to its ${left < 0 ? "right" : "left"}`;
    const told = `3D view of ${names.map((head) => head.data.name).join(" and ")} from ${side}. Arrow keys turn it.`;
    this.canvas.setAttribute("aria-label", told);
  }

  private say(text: string): void {
    this.status.textContent = text;
  }
}


