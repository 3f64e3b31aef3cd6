// Colours of millimetres: dark blue over teal to yellow, of rising lightness, readable without telling red from green.

const STOPS: [number, number, number][] = [
  [38, 42, 92],
  [42, 88, 142],
  [38, 140, 142],
  [90, 185, 110],
  [190, 215, 70],
  [253, 231, 90],
];

/** sRGB 0..255 of a share from 0 to 1. */
export function heatColor(share: number): [number, number, number] {
  const place = Math.min(1, Math.max(0, share)) * (STOPS.length - 1);
  const low = Math.min(STOPS.length - 2, Math.floor(place));
  const [from, to] = [STOPS[low], STOPS[low + 1]];
  return [0, 1, 2].map((axis) => from[axis] + (to[axis] - from[axis]) * (place - low)) as [number, number, number];
}

/** The palette as a CSS gradient from left to right. */
export function heatGradient(): string {
  return `linear-gradient(90deg, ${STOPS.map((stop) => `rgb(${stop.join(" ")})`).join(", ")})`;
}
