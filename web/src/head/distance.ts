// How far apart the surfaces of two heads of one topology are, vertex by vertex.
import * as THREE from "three";

export interface Apart {
  /** (V,) mm between the vertices of the same number, after the best rigid alignment. */
  distances: Float32Array;
  /** Root mean square over the chosen vertices, mm. */
  rms: number;
}

/**
 * Rigid alignment by Horn's quaternion (Closed-form solution of absolute orientation, 1987), then distances.
 * @param a (3V,) mm. @param b (3V,) mm; b is moved onto a. @param chosen (V,) 1 where it counts; null: everywhere.
 */
export function distancesOf(a: Float32Array, b: Float32Array, chosen: Uint8Array | null): Apart {
  const count = a.length / 3;
  const counts = (i: number): boolean => chosen === null || chosen[i] === 1;
  const meanA = mean(a, counts);
  const meanB = mean(b, counts);
  const turn = new THREE.Matrix4().makeRotationFromQuaternion(rotation(a, b, meanA, meanB, counts));
  const distances = new Float32Array(count);
  const point = new THREE.Vector3();
  let sum = 0;
  let chosenCount = 0;
  for (let i = 0; i < count; i++) {
    point.fromArray(b, 3 * i).sub(meanB).applyMatrix4(turn).add(meanA);
    const apart = Math.hypot(point.x - a[3 * i], point.y - a[3 * i + 1], point.z - a[3 * i + 2]);
    distances[i] = apart;
    if (counts(i)) {
      sum += apart * apart;
      chosenCount++;
    }
  }
  return { distances, rms: Math.sqrt(sum / Math.max(1, chosenCount)) };
}

function mean(points: Float32Array, counts: (i: number) => boolean): THREE.Vector3 {
  const total = new THREE.Vector3();
  let count = 0;
  for (let i = 0; i < points.length / 3; i++) {
    if (!counts(i)) continue;
    total.x += points[3 * i];
    total.y += points[3 * i + 1];
    total.z += points[3 * i + 2];
    count++;
  }
  return total.divideScalar(Math.max(1, count));
}

/** The quaternion that turns b - meanB onto a - meanA: the largest eigenvector of Horn's matrix N. */
function rotation(
  a: Float32Array,
  b: Float32Array,
  meanA: THREE.Vector3,
  meanB: THREE.Vector3,
  counts: (i: number) => boolean,
): THREE.Quaternion {
  const s = new Float64Array(9); // sums of b_i a_j
  let size = 0;
  for (let i = 0; i < a.length / 3; i++) {
    if (!counts(i)) continue;
    const from = [b[3 * i] - meanB.x, b[3 * i + 1] - meanB.y, b[3 * i + 2] - meanB.z];
    const to = [a[3 * i] - meanA.x, a[3 * i + 1] - meanA.y, a[3 * i + 2] - meanA.z];
    for (let row = 0; row < 3; row++) for (let column = 0; column < 3; column++) s[3 * row + column] += from[row] * to[column];
    size += from[0] ** 2 + from[1] ** 2 + from[2] ** 2 + to[0] ** 2 + to[1] ** 2 + to[2] ** 2;
  }
  const [xx, xy, xz, yx, yy, yz, zx, zy, zz] = s;
  const n = [
    [xx + yy + zz, yz - zy, zx - xz, xy - yx],
    [yz - zy, xx - yy - zz, xy + yx, zx + xz],
    [zx - xz, xy + yx, yy - xx - zz, yz + zy],
    [xy - yx, zx + xz, yz + zy, zz - xx - yy],
  ];
  // Power iteration; the shift makes the largest eigenvalue also the largest in size.
  let q = [1, 0, 0, 0];
  for (let step = 0; step < 300; step++) {
    const next = n.map((row, i) => row.reduce((sum, value, j) => sum + value * q[j], size * q[i]));
    const length = Math.hypot(...next) || 1;
    q = next.map((value) => value / length);
  }
  return new THREE.Quaternion(q[1], q[2], q[3], q[0]);
}
