// What a head is made of. Lengths are millimetres, axes x to the subject's left, y up, z out of the face.

/** Displacements of vertices by name; `deltas[i]` has x, y, z of every model vertex, mm at weight 1. */
export interface Shapes {
  names: string[];
  deltas: Float32Array[];
}

/** What heads of one topology share. "Model vertices" are V points; "drawn vertices" N >= V have copies at uv seams. */
export interface Rig {
  /** Model vertices, V. */
  count: number;
  /** (N,) the model vertex of every drawn vertex. */
  source: Uint32Array;
  /** (3F,) drawn vertices, counter-clockwise from outside. */
  triangles: Uint32Array;
  /** (2N,) texture coordinates, origin top left as in glTF. */
  uv: Float32Array | null;
  /** How many triangles, the first ones, heads' textures are for; the others have colours. null: all. */
  covered: number | null;
  /** (V,) 1 where the face is; null: not known. */
  face: Uint8Array | null;
  expressions: Shapes;
  /** Identity directions; weights are standard deviations of the model's population. */
  directions: Shapes;
  /** The face model's name; "" where there is none. */
  model: string;
}

/** A photo and the camera that the head was fitted with: `pixel = K (R x + t)`, OpenCV's axes. */
export interface Photo {
  image: Blob;
  width: number;
  height: number;
  focal: number;
  center: [number, number];
  /** Nine numbers, row by row: model axes -> camera axes. */
  rotation: number[];
  translation: [number, number, number];
}

export interface HeadData {
  name: string;
  rig: Rig;
  /** (3V,) at rest. */
  positions: Float32Array;
  /** (3V,) sRGB 0..255. */
  colors: Uint8Array | null;
  texture: Blob | null;
  /** A weight per expression: how the head starts. */
  weights: number[];
  photo: Photo | null;
  /** A sentence about the head, for people. */
  note: string;
}

export const NO_SHAPES: Shapes = { names: [], deltas: [] };
