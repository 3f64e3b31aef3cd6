// The part of the panel with sliders for the first identity directions.
import { button, el, section, slider, type Slider } from "../parts/dom";

const FARTHEST = 3;

export interface Identity {
  part: HTMLDetailsElement;
  fill(names: string[], weights: ArrayLike<number>): void;
}

/** @param change called with all standard deviations, one for each direction. */
export function identity(change: (deviations: number[]) => void): Identity {
  const list = el("div", { class: "sliders" });
  let values: number[] = [];
  let made: Slider[] = [];
  const put = (next: number[]): void => {
    values = next;
    made.forEach((one, i) => one.set(values[i]));
    change(values);
  };
  const part = section(
    "Identity",
    false,
    el("p", { class: "hint" }, "The model's main directions, in standard deviations from this head."),
    el(
      "div",
      { class: "chips" },
      button("Reset", "The head as it came", () => put(values.map(() => 0))),
      button("Random person", "Draws every direction from the model's population", () => put(values.map(normal))),
      button("Exaggerate", "All deviations 1.3 times as large", () => put(values.map((v) => clamp(1.3 * v)))),
    ),
    list,
  );

  function fill(names: string[], weights: ArrayLike<number>): void {
    part.hidden = names.length === 0;
    values = Array.from(weights);
    made = names.map((name, i) =>
      slider(
        name,
        [-FARTHEST, FARTHEST, 0.05],
        0,
        (value) => {
          values[i] = value;
          change(values);
        },
        (value) => `${value > 0 ? "+" : ""}${value.toFixed(2)}`,
      ),
    );
    made.forEach((one, i) => one.set(values[i]));
    list.replaceChildren(...made.map((one) => one.row));
  }

  return { part, fill };
}

function clamp(value: number): number {
  return Math.max(-FARTHEST, Math.min(FARTHEST, value));
}

/** A number from N(0, 1), by Box and Muller's method. */
function normal(): number {
  return clamp(Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()));
}
