// What both pages offer: sides to look from, and surfaces to look at.
import type { Mode, Side } from "../head";

export const SIDES: [Side, string][] = [
  ["front", "Front"],
  ["three-quarter", "3/4"],
  ["left", "Left"],
  ["right", "Right"],
  ["back", "Back"],
];
export const MODES: [Mode, string][] = [
  ["texture", "Texture"],
  ["shape", "Shape"],
  ["normals", "Normals"],
];
