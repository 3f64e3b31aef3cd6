// Walks through the space of identities from the head that is shown.
import { button, el, section, slider, type Slider } from "../parts/dom";
import * as api from "./api";
import type { Stage } from "./stage";

const DIRECTIONS = 8;
const STEPS = 41;

/** The codes of a way at equal steps, and the code at any share of it. */
class Way {
  constructor(
    private readonly codes: number[][],
    private readonly low: number,
    private readonly high: number,
  ) {}

  at(share: number): number[] {
    const place = ((share - this.low) / (this.high - this.low)) * (this.codes.length - 1);
    const before = Math.min(Math.max(Math.floor(place), 0), this.codes.length - 2);
    const part = place - before;
    return this.codes[before].map((value, k) => value + part * (this.codes[before + 1][k] - value));
  }
}

const shares = (low: number, high: number): number[] =>
  Array.from({ length: STEPS }, (_, i) => low + ((high - low) * i) / (STEPS - 1));

export class Explorer {
  readonly part: HTMLElement;
  private basis: Promise<api.Basis> | null = null;
  private code: number[] = [];
  private own: number[] = [];
  private beside: Float32Array | null = null; // what the person's head has that the basis does not know
  private way: Way | null = null;
  private stronger: Way | null = null;
  private set: Record<number, number> = {};
  private base: number[] = [];
  private turn = 0;
  private readonly others = el("select", { "aria-label": "Walk to" });
  private readonly share: Slider;
  private readonly strength: Slider;
  private readonly directions: Slider[];
  private readonly status = el("p", { class: "hint", role: "status" });

  constructor(
    private readonly stage: Stage,
    private readonly failed: (error: unknown) => void,
    private readonly expression: () => Record<string, number>,
  ) {
    const percent = (value: number): string => `${Math.round(100 * value)} %`;
    this.strength = slider("Strength", [0, 2, 0.01], 1, (value) => this.go(this.stronger, value), percent);
    this.share = slider("Way", [-0.5, 1.5, 0.01], 0, (value) => this.go(this.way, value), percent);
    this.directions = Array.from({ length: DIRECTIONS }, (_, i) =>
      slider(`Direction ${i + 1}`, [-3, 3, 0.05], 0, (value) => void this.adjust(i, value), (value) => value.toFixed(1)),
    );
    this.others.addEventListener("change", () => void this.walkTo());
    const buttons = el("div", { class: "chips" });
    buttons.append(
      button("Back to the person", "The head's own shape again", () => void this.begin()),
      button("Random person", "Somebody of the model's population", () => void this.random()),
      button("Save GLB", "Download the head as it is now", () => void this.save()),
    );
    this.part = section(
      "Explore identities",
      true,
      this.status,
      buttons,
      el("h3", {}, "Caricature"),
      this.strength.row,
      el("h3", {}, "Walk to another person"),
      this.others,
      this.share.row,
      el("h3", {}, "Directions of shape, largest first"),
      ...this.directions.map((one) => one.row),
    );
    this.part.id = "explore";
  }

  /** Starts at the head that is shown. */
  async begin(): Promise<void> {
    const { info } = this.stage;
    if (!info) return;
    this.own = info.result.identity;
    this.beside = null;
    await this.startAt(this.own, `${info.title}, as found.`, info.title);
  }

  /** Who can be walked to. */
  offer(heads: api.HeadInfo[]): void {
    const chosen = this.others.value;
    const options = [["", "Choose somebody"], ...heads.map((head) => [head.id, head.title]), ["*", "A random person"]];
    this.others.replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
    if (options.some(([value]) => value === chosen)) this.others.value = chosen;
  }

  private async startAt(code: number[], text: string, name: string): Promise<void> {
    const turn = ++this.turn;
    try {
      const [stronger, here] = await Promise.all([
        api.caricature({ identity: code }, shares(0, 2)),
        api.adjust({ identity: code }, {}),
      ]);
      if (turn !== this.turn) return;
      this.base = code;
      this.set = {};
      this.stronger = new Way(stronger.identities, 0, 2);
      this.way = null;
      this.strength.set(1);
      this.share.set(0);
      this.others.value = "";
      this.directions.forEach((one, i) => one.set(here.strengths[0][i]));
      this.status.textContent = `${text} ${here.from_average_mm[0].toFixed(1)} mm from the average face.`;
      this.stage.rename(name);
      await this.apply(code);
    } catch (error) {
      this.failed(error);
    }
  }

  private async random(): Promise<void> {
    try {
      const found = await api.random(1);
      await this.startAt(found.identities[0], "A random person.", `A random person, skin of ${this.stage.info?.title ?? "nobody"}`);
    } catch (error) {
      this.failed(error);
    }
  }

  private async walkTo(): Promise<void> {
    const id = this.others.value;
    if (!id) return;
    try {
      const end: api.Who = id === "*" ? { identity: (await api.random(1)).identities[0] } : { head: id };
      const found = await api.walk({ identity: this.base }, end, shares(-0.5, 1.5));
      this.way = new Way(found.identities, -0.5, 1.5);
      this.share.set(0.5);
      this.go(this.way, 0.5);
    } catch (error) {
      this.failed(error);
    }
  }

  private go(way: Way | null, share: number): void {
    if (way) void this.apply(way.at(share)).catch(this.failed);
  }

  private async adjust(direction: number, value: number): Promise<void> {
    this.set[direction] = value;
    const turn = ++this.turn;
    try {
      const found = await api.adjust({ identity: this.base }, this.set);
      if (turn === this.turn) await this.apply(found.identities[0]);
    } catch (error) {
      this.failed(error);
    }
  }

  private async apply(code: number[]): Promise<void> {
    this.code = code;
    this.basis ??= api.Basis.load();
    const basis = await this.basis;
    const shape = this.stage.ownShape;
    if (!shape) return;
    if (!this.beside) {
      const known = basis.vertices(this.own);
      this.beside = shape.map((value, i) => value - known[i]);
    }
    const { beside } = this;
    this.stage.reshape(basis.vertices(code).map((value, i) => value + beside[i]));
  }

  private async save(): Promise<void> {
    try {
      const file = await api.mesh(this.code, this.expression());
      const link = el("a", { href: URL.createObjectURL(file), download: "explored-head.glb" });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    } catch (error) {
      this.failed(error);
    }
  }
}
