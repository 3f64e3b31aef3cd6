// The head as other entries use it.
export { NO_SHAPES, type HeadData, type Photo, type Rig, type Shapes } from "./data";
export { distancesOf, type Apart } from "./distance";
export { Head, type Mode } from "./head";
export { bytesFromBase64, headsFromPack } from "./pack";
export { heatColor, heatGradient } from "./palette";
export { HeadView, type Side } from "./view";
// GLB files: import { headFromGlb } from "./glb" (a loader of 60 kB, which the viewer does without).
