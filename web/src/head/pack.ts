// Reads what likeness/view/pack.py writes: zlib( u32 length of the header, JSON header, arrays ).
import type { HeadData, Photo, Rig, Shapes } from "./data";

/** An array in the body. "planes": int16 (S, V, 3) times `step`, stored as low bytes, then high bytes, each (S, 3, V). */
interface Ref {
  offset: number;
  bytes: number;
  type: "u8" | "u32" | "f32" | "planes";
  step?: number;
}

interface PackedShapes {
  names: string[];
  values: Ref;
}

interface PackedRig {
  count: number;
  source: Ref;
  triangles: Ref;
  uv: Ref | null;
  covered: number | null;
  face: Ref | null;
  expressions: PackedShapes | null;
  directions: PackedShapes | null;
  model: string;
}

interface PackedHead {
  name: string;
  note: string;
  rig: number;
  positions: Ref;
  colors: Ref | null;
  texture: { image: Ref; mime: string } | null;
  weights: number[];
  photo: (Omit<Photo, "image"> & { image: Ref; mime: string }) | null;
}

interface Header {
  version: number;
  rigs: PackedRig[];
  heads: PackedHead[];
}

const VERSION = 1;

/** The heads of a pack's bytes (not base64). Throws an Error that says what is wrong. */
export async function headsFromPack(packed: Uint8Array<ArrayBuffer>): Promise<HeadData[]> {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const data = await new Response(stream).arrayBuffer();
  const length = new DataView(data).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length))) as Header;
  if (header.version !== VERSION) throw new Error(`expected a pack of version ${VERSION}, got ${header.version}`);
  const body = new Body(data, 4 + length);
  const rigs = header.rigs.map((rig) => unpackedRig(rig, body));
  return header.heads.map((head) => ({
    name: head.name,
    note: head.note,
    rig: rigs[head.rig],
    positions: body.vectors(head.positions, 1)[0],
    colors: head.colors && body.bytes(head.colors),
    texture: head.texture && new Blob([body.bytes(head.texture.image)], { type: head.texture.mime }),
    weights: head.weights,
    photo: head.photo && { ...head.photo, image: new Blob([body.bytes(head.photo.image)], { type: head.photo.mime }) },
  }));
}

/** The bytes of base64 text, white space allowed. */
export function bytesFromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.trim()), (character) => character.charCodeAt(0));
}

function unpackedRig(rig: PackedRig, body: Body): Rig {
  const shapes = (packed: PackedShapes | null): Shapes => ({
    names: packed?.names ?? [],
    deltas: packed ? body.vectors(packed.values, packed.names.length) : [],
  });
  return {
    count: rig.count,
    source: body.integers(rig.source),
    triangles: body.integers(rig.triangles),
    uv: rig.uv && body.floats(rig.uv),
    covered: rig.covered,
    face: rig.face && body.bytes(rig.face),
    expressions: shapes(rig.expressions),
    directions: shapes(rig.directions),
    model: rig.model,
  };
}

class Body {
  constructor(
    private readonly data: ArrayBuffer,
    private readonly start: number,
  ) {}

  bytes(ref: Ref): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.data, this.start + ref.offset, ref.bytes);
  }

  integers(ref: Ref): Uint32Array {
    return new Uint32Array(this.copy(ref));
  }

  floats(ref: Ref): Float32Array {
    return new Float32Array(this.copy(ref));
  }

  /** `count` arrays of x, y, z by vertex. */
  vectors(ref: Ref, count: number): Float32Array[] {
    const bytes = this.bytes(ref);
    const half = ref.bytes / 2;
    const vertices = half / (3 * count);
    const step = ref.step ?? 1;
    return Array.from({ length: count }, (_, shape) => {
      const values = new Float32Array(3 * vertices);
      for (let axis = 0; axis < 3; axis++) {
        const from = (3 * shape + axis) * vertices;
        for (let vertex = 0; vertex < vertices; vertex++) {
          const place = from + vertex;
          values[3 * vertex + axis] = (((bytes[half + place] << 24) >> 16) | bytes[place]) * step;
        }
      }
      return values;
    });
  }

  private copy(ref: Ref): ArrayBuffer {
    return this.data.slice(this.start + ref.offset, this.start + ref.offset + ref.bytes);
  }
}
