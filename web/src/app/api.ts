// What the server is asked (docs/serve.md); every answer that is a problem (RFC 9457) becomes an Error with its sentence.

export interface Placed {
  photo_size: [number, number];
  camera: { focal: number; center: [number, number]; size: [number, number] };
  rotation: number[][];
  translation: [number, number, number];
  expression: Record<string, number>;
  precision?: number;
  score: number;
  uncertainty_mm?: number;
}

export interface HeadInfo {
  id: string;
  title: string;
  kind: "face" | "person";
  photo: string;
  members: string[];
  links: Record<"glb" | "obj" | "json" | "zip" | "pack" | "portrait" | "photo", string> & { texture?: string };
  result: Partial<Placed> & { identity: number[]; photos?: Placed[]; uncertainty_mm?: number; effective_photos?: number };
}

export interface JobInfo {
  id: string;
  title: string;
  state: "waiting" | "running" | "done" | "failed";
  step: string;
  share: number;
  heads: HeadInfo[];
  note?: string;
  unsure?: string[];
  problem?: { detail: string };
  links: { events: string };
}

export interface Service {
  version: string;
  keeps: boolean;
  limits: { photo_bytes: number; faces: number; session_seconds: number };
}

export interface Matrix {
  heads: string[];
  millimetres: number[][];
  cosine: number[][];
  chance: number[][];
}

export interface People {
  identities: number[][];
  strengths: number[][];
  from_average_mm: number[];
}

/** A head of the session, a code, or, with neither, the average head. */
export type Who = { head?: string; identity?: number[] };

async function ask(address: string, options: RequestInit = {}): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(address, options);
  } catch {
    throw new Error("The server does not answer; is it still running?");
  }
  if (answer.ok) return answer;
  const told = (await answer.json().catch(() => ({}))) as { detail?: string };
  throw new Error(told.detail ?? `The server answers with ${answer.status}.`);
}

const json = { "Content-Type": "application/json" };

async function post<T>(address: string, body: unknown): Promise<T> {
  return (await ask(address, { method: "POST", headers: json, body: JSON.stringify(body) })).json() as Promise<T>;
}

async function get<T>(address: string): Promise<T> {
  return (await ask(address)).json() as Promise<T>;
}

export const service = (): Promise<Service> => get("/v1");
export const startSession = (): Promise<unknown> => post("/v1/sessions", {});
export const endSession = (): Promise<unknown> => ask("/v1/session", { method: "DELETE" });
export const heads = async (): Promise<HeadInfo[]> => (await get<{ heads: HeadInfo[] }>("/v1/heads")).heads;
export const comparison = (): Promise<Matrix> => get("/v1/comparison");
export const forget = (id: string): Promise<unknown> => ask(`/v1/heads/${id}`, { method: "DELETE" });
export const keep = (id: string): Promise<{ name: string }> => post(`/v1/heads/${id}/keep`, {});
export const bytes = async (address: string): Promise<ArrayBuffer> => (await ask(address)).arrayBuffer();
export const random = (count: number): Promise<People> => post("/v1/identities/random", { count });
export const walk = (start: Who, end: Who, shares: number[]): Promise<People> =>
  post("/v1/identities/walk", { start, end, shares });
export const caricature = (of: Who, strengths: number[]): Promise<People> =>
  post("/v1/identities/caricature", { of, strengths });
export const adjust = (of: Who, strengths: Record<number, number>): Promise<People> =>
  post("/v1/identities/adjust", { of, strengths });

const asJob = { Prefer: "respond-async" };

export async function upload(photo: File): Promise<JobInfo> {
  const form = new FormData();
  form.append("photo", photo);
  return (await ask("/v1/heads", { method: "POST", headers: asJob, body: form })).json() as Promise<JobInfo>;
}

export async function sortPeople(): Promise<JobInfo> {
  return (await ask("/v1/people", { method: "POST", headers: asJob })).json() as Promise<JobInfo>;
}

/** Calls `told` with everything that happens to a job, until it has ended; the last is what it came to. */
export function follow(job: JobInfo, told: (job: JobInfo) => void): Promise<JobInfo> {
  return new Promise((resolve, reject) => {
    const events = new EventSource(job.links.events);
    const listen = (event: MessageEvent<string>): void => {
      const now = JSON.parse(event.data) as JobInfo;
      told(now);
      if (now.state !== "done" && now.state !== "failed") return;
      events.close();
      resolve(now);
    };
    for (const state of ["waiting", "running", "done", "failed"]) events.addEventListener(state, listen);
    events.addEventListener("error", () => {
      if (events.readyState !== EventSource.CLOSED) return; // it tries again by itself
      reject(new Error("The server does not answer; is it still running?"));
    });
  });
}

export async function mesh(identity: number[], expression: Record<string, number>): Promise<Blob> {
  const body = JSON.stringify({ of: { identity }, expression });
  const headers = { ...json, Accept: "model/gltf-binary" };
  return (await ask("/v1/identities/mesh", { method: "POST", headers, body })).blob();
}

/** Whole heads of codes, computed here: `mean + sum over k of code[k] basis[k]`. */
export class Basis {
  private constructor(
    private readonly values: Float32Array,
    private readonly size: number,
    readonly millimetres: number[],
  ) {}

  static async load(): Promise<Basis> {
    const [model, values] = await Promise.all([
      get<{ directions: number; millimetres: number[] }>("/v1/model"),
      bytes("/v1/model/whole"),
    ]);
    const numbers = new Float32Array(values);
    return new Basis(numbers, numbers.length / (1 + model.directions), model.millimetres);
  }

  /** Vertices (3W,) mm of a code. */
  vertices(code: number[]): Float32Array {
    const found = this.values.slice(0, this.size);
    code.forEach((weight, k) => {
      const start = (k + 1) * this.size;
      for (let i = 0; i < this.size; i++) found[i] += weight * this.values[start + i];
    });
    return found;
  }
}
