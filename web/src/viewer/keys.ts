// Keys of the canvas, and the dialog that tells them.
import { button, el } from "../parts/dom";

export interface Key {
  keys: string[];
  told: string;
  act: (key: string) => void;
}

/** Acts on keys while the canvas, or nothing, has the focus: so nobody types into a shortcut. */
export function listen(canvas: HTMLElement, keys: Key[]): void {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target !== canvas && event.target !== document.body) return;
    const found = keys.find((key) => key.keys.includes(event.key));
    if (!found) return;
    event.preventDefault();
    found.act(event.key);
  });
}

const SHOWN: Record<string, string> = {
  ArrowLeft: "←",
  ArrowRight: "→",
  ArrowUp: "↑",
  ArrowDown: "↓",
};

export function helpDialog(keys: Key[]): HTMLDialogElement {
  const dialog = el("dialog", { "aria-labelledby": "help-title" });
  const list = el("dl", {});
  for (const { keys: names, told } of keys) {
    const shown = names.flatMap((name) => [el("kbd", {}, SHOWN[name] ?? name), " "]);
    list.append(el("dt", {}, ...shown), el("dd", {}, told));
  }
  const gestures = "Drag turns the head, the wheel or two fingers zoom. A double click on a slider's name resets it.";
  dialog.append(
    el("h2", { id: "help-title" }, "Keys"),
    el("p", { class: "hint" }, gestures),
    list,
    button("Close", "Close this window", () => dialog.close(), "primary"),
  );
  return dialog;
}
