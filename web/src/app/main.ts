// The page of `likeness serve`.
import "./app.css";
import { button, el, section } from "../parts/dom";
import { expressions } from "../parts/expressions";
import * as api from "./api";
import { Explorer } from "./explore";
import { MatrixView } from "./matrix";
import { Shelf } from "./shelf";
import { Stage } from "./stage";

const root = document.getElementById("app")!;
let heads: api.HeadInfo[] = [];
let shown: string[] = [];

const status = el("div", { class: "status", role: "alert" });
function say(text: string, kind: "note" | "error" = "note"): void {
  const away = button("×", "Dismiss the message", () => status.replaceChildren(), "plain");
  status.replaceChildren(el("span", { class: kind }, text), away);
}
function failed(error: unknown): void {
  say(error instanceof Error ? error.message : String(error), "error");
}
function guarded(act: () => Promise<unknown>): void {
  act().catch(failed);
}

const stage = new Stage();
const shelf = new Shelf({
  show: (head) => guarded(() => stage.show(head)),
  forget: (head) => guarded(() => forget(head)),
  added: (_, job) => guarded(() => added(job)),
  failed,
});
const explorer = new Explorer(stage, failed, weights);
const matrix = new MatrixView((a, b) => guarded(() => stage.show(a, b)));
const faces = expressions(
  (name, weight) => stage.setExpression(name, weight),
  (all) => setAll((name) => all[name] ?? 0),
  () => setAll((_, i) => stage.head?.data.weights[i] ?? 0),
);
const files = section("Download", true);
const sort = button("Sort into people", "One head of each person whom the photos show", () => void shelf.watch(api.sortPeople, "Sorting into people"));
const all = el("a", { class: "button", href: "/v1/archive.zip", download: "heads.zip" }, "Download all");
const end = button("End session", "Forget all photos and heads now", () => guarded(endSession));
const panel = el("aside", { class: "panel", "aria-label": "The head" }, files, faces.part, explorer.part, matrix.part);
let keeps = false;

function weights(): Record<string, number> {
  const { head } = stage;
  if (!head) return {};
  return Object.fromEntries(head.data.rig.expressions.names.map((name, i) => [name, head.expression[i]]).filter(([, weight]) => weight as number > 0));
}

function setAll(of: (name: string, index: number) => number): void {
  const names = stage.head?.data.rig.expressions.names ?? [];
  const values = names.map(of);
  stage.setExpressions(values);
  faces.fill(names, values);
}

stage.onShow = (infos) => {
  shown = infos.map((info) => info.id);
  draw();
  const [info] = infos;
  const { head } = stage;
  if (!info || !head) return;
  faces.fill(head.data.rig.expressions.names, head.expression);
  files.replaceChildren(files.querySelector("summary")!, downloads(info));
  void explorer.begin();
};

function downloads(info: api.HeadInfo): HTMLElement {
  const forms: [keyof api.HeadInfo["links"], string][] = [["glb", "GLB"], ["obj", "OBJ"], ["json", "JSON"], ["texture", "Texture"], ["zip", "All, zip"]];
  const row = el("div", { class: "chips" });
  for (const [form, text] of forms) {
    const address = info.links[form];
    if (address) row.append(el("a", { class: "button", href: address, download: form === "texture" ? `${info.id}-texture.jpg` : "" }, text));
  }
  if (keeps) row.append(button("Keep on the server", "Write the head's files to the server's folder", () => guarded(async () => say(`Kept as ${(await api.keep(info.id)).name}.`))));
  return row;
}

function draw(): void {
  shelf.fill(heads, shown);
  const empty = heads.length === 0;
  root.classList.toggle("empty", empty);
  panel.hidden = empty;
  all.hidden = sort.hidden = end.hidden = empty;
  sort.disabled = heads.filter((head) => head.kind === "face").length < 2;
}

async function reload(): Promise<void> {
  heads = await api.heads();
  explorer.offer(heads);
  draw();
  await matrix.update(heads);
}

async function added(job: api.JobInfo): Promise<void> {
  await reload();
  const [first] = job.heads;
  if (first) await stage.show(first);
  if (job.note) say(`The photo ${job.note}.`);
  const unsure = job.unsure?.length ?? 0;
  if (unsure) say(`${unsure === 1 ? "One face resembles" : `${unsure} faces resemble`} several people, or nobody enough.`);
}

async function forget(head: api.HeadInfo): Promise<void> {
  await api.forget(head.id);
  stage.forget(head.id);
  await reload();
  if (!shown.includes(head.id)) return;
  if (heads.length) await stage.show(heads[heads.length - 1]);
  else stage.clear();
}

async function endSession(): Promise<void> {
  await api.endSession();
  for (const head of heads) stage.forget(head.id);
  stage.clear();
  heads = [];
  shown = [];
  await api.startSession();
  await reload();
}

async function start(): Promise<void> {
  const header = el("header", { class: "top" }, el("h1", {}, "likeness"), el("span", { class: "soft" }, "photos in, heads out"), el("nav", { "aria-label": "Session" }, sort, all, end));
  const left = el("section", { class: "left", "aria-label": "Photos and heads" }, shelf.part);
  const hello = el("div", { class: "hello" }, el("h2", {}, "A photo becomes a head"), el("p", {}, "One face, roughly towards the camera, is enough. Several photos of a person, or of several people, are better."));
  root.replaceChildren(header, left, el("main", {}, hello, stage.part), panel, status);
  draw();
  try {
    const [service] = await Promise.all([api.service(), api.startSession()]);
    keeps = service.keeps;
    shelf.describe(service);
    await reload();
    if (heads.length) await stage.show(heads[heads.length - 1]);
  } catch (error) {
    failed(error);
  }
  root.dataset.ready = "";
}

void start();
