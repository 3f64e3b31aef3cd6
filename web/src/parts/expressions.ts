// The part of the panel with a slider for every expression.
import { button, el, section, slider, type Slider } from "./dom";

const GROUPS: [string, RegExp][] = [
  ["Brows", /^brow/i],
  ["Eyes", /^eye/i],
  ["Cheeks and nose", /^(cheek|nose)/i],
  ["Jaw and tongue", /^(jaw|tongue)/i],
  ["Mouth", /^mouth/i],
  ["Others", /./],
];

const PRESETS: [string, Record<string, number>][] = [
  ["Smile", { mouthSmileLeft: 0.75, mouthSmileRight: 0.75, cheekSquintLeft: 0.5, cheekSquintRight: 0.5, mouthUpperUpLeft: 0.2, mouthUpperUpRight: 0.2, eyeSquintLeft: 0.3, eyeSquintRight: 0.3 }],
  ["Surprise", { jawOpen: 0.5, browInnerUp: 0.9, browOuterUpLeft: 0.8, browOuterUpRight: 0.8, eyeWideLeft: 0.8, eyeWideRight: 0.8, mouthFunnel: 0.2 }],
  ["Anger", { browDownLeft: 0.9, browDownRight: 0.9, eyeSquintLeft: 0.5, eyeSquintRight: 0.5, noseSneerLeft: 0.5, noseSneerRight: 0.5, mouthPressLeft: 0.6, mouthPressRight: 0.6, mouthFrownLeft: 0.4, mouthFrownRight: 0.4 }],
  ["Sadness", { browInnerUp: 0.8, mouthFrownLeft: 0.8, mouthFrownRight: 0.8, mouthShrugLower: 0.4, eyeSquintLeft: 0.2, eyeSquintRight: 0.2 }],
  ["Wink", { eyeBlinkLeft: 1, cheekSquintLeft: 0.6, mouthSmileLeft: 0.5, mouthSmileRight: 0.2 }],
  ["Kiss", { mouthPucker: 0.9, mouthFunnel: 0.25, jawForward: 0.1 }],
];

export interface Expressions {
  part: HTMLElement;
  /** Shows other names and weights. */
  fill(names: string[], weights: ArrayLike<number>): void;
}

/** "mouthSmileLeft" as "Mouth smile left". */
export function words(name: string): string {
  const apart = name.replace(/([a-z])([A-Z])/g, "$1 $2").replaceAll("_", " ").toLowerCase();
  return apart.charAt(0).toUpperCase() + apart.slice(1);
}

/**
 * @param change called with one weight. @param all called with all weights by name; what is missing is 0.
 * @param own brings back each head's own weights.
 */
export function expressions(
  change: (name: string, weight: number) => void,
  all: (weights: Record<string, number>) => void,
  own: () => void,
): Expressions {
  const presets = el("div", { class: "chips" });
  const find = el("input", { type: "search", placeholder: "Find an expression", "aria-label": "Find an expression" });
  const list = el("div", { class: "sliders" });
  const part = section("Expression", true, presets, find, list);
  let made = new Map<string, Slider>();

  find.addEventListener("input", () => {
    const wanted = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const [name, { row }] of made) {
      row.hidden = !wanted.every((word) => words(name).toLowerCase().includes(word));
    }
    for (const group of list.children) {
      (group as HTMLElement).hidden = ![...group.querySelectorAll<HTMLElement>(".slider")].some((row) => !row.hidden);
    }
  });

  function fill(names: string[], weights: ArrayLike<number>): void {
    part.hidden = names.length === 0;
    if ([...made.keys()].join() !== names.join()) build(names);
    names.forEach((name, i) => made.get(name)?.set(weights[i] ?? 0));
  }

  function build(names: string[]): void {
    made = new Map();
    list.replaceChildren();
    const left = new Set(names);
    for (const [title, pattern] of GROUPS) {
      const members = [...left].filter((name) => pattern.test(name));
      if (!members.length) continue;
      const group = el("div", { class: "group" }, el("h3", {}, title));
      for (const name of members) {
        left.delete(name);
        const one = slider(words(name), [0, 1, 0.01], 0, (weight) => change(name, weight));
        made.set(name, one);
        group.append(one.row);
      }
      list.append(group);
    }
    presets.replaceChildren(
      button("Neutral", "All expressions to 0", () => all({})),
      button("Its own", "The expression that the head came with", own),
      ...PRESETS.filter(([, weights]) => Object.keys(weights).every((name) => names.includes(name))).map(
        ([title, weights]) => button(title, `Expression: ${title}`, () => all(weights)),
      ),
    );
  }

  return { part, fill };
}
