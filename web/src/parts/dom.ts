// Elements of the page in few words.

type Child = Node | string;

/** An element with properties (`class`, `aria-…` and `data-…` as attributes) and children. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | boolean> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "string") element.setAttribute(name, value);
    else element.toggleAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export function button(text: string, title: string, act: () => void, kind = ""): HTMLButtonElement {
  const made = el("button", { type: "button", class: kind, title }, text);
  if (text.length < 2) made.setAttribute("aria-label", title);
  made.addEventListener("click", act);
  return made;
}

export interface Slider {
  row: HTMLElement;
  set(value: number): void;
}

let sliders = 0;

/** A labelled slider with its value beside it; a double click on the label brings back `rest`. */
export function slider(
  label: string,
  [low, high, step]: [number, number, number],
  rest: number,
  change: (value: number) => void,
  shown: (value: number) => string = (value) => value.toFixed(2),
): Slider {
  const id = `slider-${sliders++}`;
  const input = el("input", { id, type: "range", min: `${low}`, max: `${high}`, step: `${step}`, value: `${rest}` });
  const output = el("span", { class: "value", "aria-hidden": "true" }); // aria-valuetext says it already
  const name = el("label", { for: id, title: `${label} (double click: reset)` }, label);
  const show = (): void => {
    const value = input.valueAsNumber;
    output.textContent = shown(value);
    input.setAttribute("aria-valuetext", shown(value));
    input.style.setProperty("--share", `${(100 * (value - low)) / (high - low)}%`);
    output.classList.toggle("changed", Math.abs(value - rest) > step / 2);
  };
  input.addEventListener("input", () => {
    show();
    change(input.valueAsNumber);
  });
  name.addEventListener("dblclick", () => {
    input.value = `${rest}`;
    show();
    change(rest);
  });
  show();
  return {
    row: el("div", { class: "slider" }, name, input, output),
    set(value: number): void {
      input.value = `${value}`;
      show();
    },
  };
}

export interface Choice<T extends string> {
  row: HTMLElement;
  set(value: T): void;
  enable(value: T, on: boolean, why?: string): void;
}

/** Buttons of which one is pressed. */
export function choice<T extends string>(
  label: string,
  options: [T, string][],
  first: T,
  change: (value: T) => void,
): Choice<T> {
  const row = el("div", { class: "choice", role: "group", "aria-label": label });
  const buttons = new Map<T, HTMLButtonElement>();
  const set = (value: T): void => {
    for (const [other, made] of buttons) made.setAttribute("aria-pressed", `${other === value}`);
  };
  for (const [value, text] of options) {
    const made = button(text, `${label}: ${text}`, () => {
      set(value);
      change(value);
    });
    buttons.set(value, made);
    row.append(made);
  }
  set(first);
  const enable = (value: T, on: boolean, why = ""): void => {
    const made = buttons.get(value);
    if (!made) return;
    made.disabled = !on;
    made.title = on ? `${label}: ${made.textContent}` : why;
  };
  return { row, set, enable };
}

export function check(label: string, change: (on: boolean) => void): { row: HTMLElement; set(on: boolean): void } {
  const input = el("input", { type: "checkbox" });
  input.addEventListener("change", () => change(input.checked));
  return { row: el("label", { class: "check" }, input, label), set: (on) => void (input.checked = on) };
}

/** A part of the panel that folds. */
export function section(title: string, open: boolean, ...children: Child[]): HTMLDetailsElement {
  const made = el("details", { class: "section" }, el("summary", {}, el("h2", {}, title)), ...children);
  made.open = open;
  return made;
}
