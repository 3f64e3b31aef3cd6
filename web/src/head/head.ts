// One head that can be posed: vertices and normals are computed here, so that both are exact at every weight.
import * as THREE from "three";
import type { HeadData } from "./data";
import { heatColor } from "./palette";

/** What is seen on the surface. */
export type Mode = "texture" | "shape" | "normals" | "heat";

const CLAY = 0xb9b4ad;
const ROUGHNESS = 0.62;

export class Head {
  /** What a scene takes; model axes, mm. */
  readonly object = new THREE.Group();
  /** Current weights; change them with the setters. */
  readonly expression: Float32Array;
  readonly identity: Float32Array;

  private readonly geometry = new THREE.BufferGeometry();
  private readonly surface: THREE.Mesh;
  private readonly wire: THREE.Mesh;
  private readonly corners: Uint32Array;
  private readonly current: Float32Array;
  private readonly normals: Float32Array;
  private readonly materials: Record<Mode, THREE.Material>;
  /** What a texture does not cover, where the rig has such a part. */
  private readonly bare = new THREE.MeshStandardMaterial({ roughness: ROUGHNESS, side: THREE.DoubleSide });
  private blended: { target: Float32Array; share: number } | null = null;
  private stale = true;

  constructor(readonly data: HeadData) {
    const { rig } = data;
    this.expression = Float32Array.from({ length: rig.expressions.names.length }, (_, i) => data.weights[i] ?? 0);
    this.identity = new Float32Array(rig.directions.names.length);
    this.current = new Float32Array(3 * rig.count);
    this.normals = new Float32Array(3 * rig.count);
    this.corners = rig.triangles.map((drawn) => rig.source[drawn]);
    const drawn = rig.source.length;
    const attribute = (size: number): THREE.BufferAttribute =>
      new THREE.BufferAttribute(new Float32Array(size * drawn), size);
    this.geometry.setAttribute("position", attribute(3).setUsage(THREE.DynamicDrawUsage));
    this.geometry.setAttribute("normal", attribute(3).setUsage(THREE.DynamicDrawUsage));
    this.geometry.setAttribute("color", attribute(3));
    if (rig.uv) this.geometry.setAttribute("uv", new THREE.BufferAttribute(rig.uv, 2));
    this.geometry.setIndex(new THREE.BufferAttribute(rig.triangles, 1));
    this.materials = {
      texture: new THREE.MeshStandardMaterial({ roughness: ROUGHNESS, side: THREE.DoubleSide }),
      shape: new THREE.MeshStandardMaterial({ color: CLAY, roughness: 0.7, side: THREE.DoubleSide }),
      normals: new THREE.MeshNormalMaterial({ side: THREE.DoubleSide }),
      heat: new THREE.MeshStandardMaterial({ roughness: 0.85, vertexColors: true, side: THREE.DoubleSide }),
    };
    if (rig.covered !== null) {
      this.geometry.addGroup(0, 3 * rig.covered, 0);
      this.geometry.addGroup(3 * rig.covered, rig.triangles.length - 3 * rig.covered, 1);
    }
    for (const material of [...Object.values(this.materials), this.bare]) {
      Object.assign(material, { polygonOffset: true, polygonOffsetFactor: 1, polygonOffsetUnits: 1 });
    }
    this.surface = new THREE.Mesh(this.geometry, this.worn("texture"));
    this.surface.castShadow = this.surface.receiveShadow = true;
    const lines = new THREE.MeshBasicMaterial({ wireframe: true, color: 0x10151c, transparent: true, opacity: 0.35 });
    this.wire = new THREE.Mesh(this.geometry, lines);
    this.wire.visible = false;
    this.object.add(this.surface, this.wire);
    this.paint();
    this.update();
  }

  /** Decodes the texture; the head is seen with colours of its vertices, or grey, before. */
  async load(): Promise<void> {
    if (!this.data.texture || !this.data.rig.uv) return;
    const image = await createImageBitmap(this.data.texture);
    const texture = new THREE.Texture(image);
    texture.flipY = false;
    texture.colorSpace = THREE.SRGBColorSpace;
    texture.anisotropy = 8;
    texture.needsUpdate = true;
    const material = this.materials.texture as THREE.MeshStandardMaterial;
    material.map = texture;
    material.vertexColors = false;
    material.color.set(0xffffff);
    material.needsUpdate = true;
  }

  get isPainted(): boolean {
    return this.data.texture !== null || this.data.colors !== null;
  }

  /** A weight by the expression's name or number; unknown names change nothing. */
  setExpression(which: string | number, weight: number): void {
    const index = typeof which === "number" ? which : this.data.rig.expressions.names.indexOf(which);
    if (index < 0 || index >= this.expression.length) return;
    this.expression[index] = weight;
    this.stale = true;
  }

  /** All weights at once; what is missing becomes 0. */
  setExpressions(weights: ArrayLike<number>): void {
    for (let i = 0; i < this.expression.length; i++) this.expression[i] = weights[i] ?? 0;
    this.stale = true;
  }

  /** Standard deviations along an identity direction, from the head as it is. */
  setIdentity(index: number, deviations: number): void {
    this.identity[index] = deviations;
    this.stale = true;
  }

  setMode(mode: Mode): void {
    if (mode === "texture") this.paint(); // the heat has been where colours are
    this.surface.material = this.worn(mode);
  }

  setWireframe(on: boolean): void {
    this.wire.visible = on;
  }

  /** Colours for the mode "heat": millimetres (V,) and the value of the last colour. */
  setHeat(distances: Float32Array, most: number): void {
    this.color((vertex) => heatColor(distances[vertex] / most));
  }

  /** Draws the head on the straight way to other vertices (3V,) of the same rig; a share of 0 is the head itself. */
  blend(target: Float32Array | null, share: number): void {
    this.blended = target && { target, share };
    this.stale = true;
  }

  /** Vertices (3V,) mm with identity and, if asked for, expression; a blend is left out. */
  vertices(withExpression = true): Float32Array {
    const { rig, positions } = this.data;
    const points = Float32Array.from(positions);
    add(points, rig.directions.deltas, this.identity);
    if (withExpression) add(points, rig.expressions.deltas, this.expression);
    return points;
  }

  /** Brings what is drawn up to date; cheap where nothing has changed. */
  update(): void {
    if (!this.stale) return;
    this.stale = false;
    this.current.set(this.vertices());
    if (this.blended) {
      const { target, share } = this.blended;
      for (let i = 0; i < this.current.length; i++) this.current[i] += share * (target[i] - this.current[i]);
    }
    computeNormals(this.current, this.corners, this.normals);
    const { source } = this.data.rig;
    for (const [name, values] of [["position", this.current], ["normal", this.normals]] as const) {
      const attribute = this.geometry.attributes[name] as THREE.BufferAttribute;
      for (let i = 0; i < source.length; i++) {
        for (let axis = 0; axis < 3; axis++) attribute.array[3 * i + axis] = values[3 * source[i] + axis];
      }
      attribute.needsUpdate = true;
    }
    this.geometry.computeBoundingSphere();
  }

  /** The vertices (3V,) mm that are drawn. */
  get drawn(): Float32Array {
    this.update();
    return this.current;
  }

  dispose(): void {
    this.geometry.dispose();
    (this.materials.texture as THREE.MeshStandardMaterial).map?.dispose();
    const materials = [...Object.values(this.materials), this.bare, this.wire.material as THREE.Material];
    for (const material of materials) material.dispose();
  }

  /** A mode's material, or one for each group of the geometry. */
  private worn(mode: Mode): THREE.Material | THREE.Material[] {
    const material = this.materials[mode];
    return mode === "texture" && this.data.rig.covered !== null ? [material, this.bare] : material;
  }

  /** Gives vertices and the materials that show them their colours, the texture's once that is there. */
  private paint(): void {
    const { colors } = this.data;
    const textured = this.materials.texture as THREE.MeshStandardMaterial;
    if (colors) this.color((vertex) => [colors[3 * vertex], colors[3 * vertex + 1], colors[3 * vertex + 2]]);
    for (const material of [textured, this.bare]) {
      if (material.map) continue;
      material.vertexColors = colors !== null;
      material.color.set(colors ? 0xffffff : CLAY);
    }
  }

  private color(of: (vertex: number) => [number, number, number]): void {
    const attribute = this.geometry.attributes.color as THREE.BufferAttribute;
    const color = new THREE.Color();
    this.data.rig.source.forEach((vertex, i) => {
      const [red, green, blue] = of(vertex);
      color.setRGB(red / 255, green / 255, blue / 255, THREE.SRGBColorSpace).toArray(attribute.array, 3 * i);
    });
    attribute.needsUpdate = true;
  }
}

function add(points: Float32Array, deltas: Float32Array[], weights: Float32Array): void {
  deltas.forEach((delta, shape) => {
    const weight = weights[shape];
    if (weight === 0) return;
    for (let i = 0; i < points.length; i++) points[i] += weight * delta[i];
  });
}

/** Area-weighted unit normals (3V,) of triangles of model vertices (3F,), across uv seams. */
function computeNormals(points: Float32Array, corners: Uint32Array, normals: Float32Array): void {
  normals.fill(0);
  for (let face = 0; face < corners.length; face += 3) {
    const [a, b, c] = [3 * corners[face], 3 * corners[face + 1], 3 * corners[face + 2]];
    const [ux, uy, uz] = [points[b] - points[a], points[b + 1] - points[a + 1], points[b + 2] - points[a + 2]];
    const [wx, wy, wz] = [points[c] - points[a], points[c + 1] - points[a + 1], points[c + 2] - points[a + 2]];
    const [x, y, z] = [uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx];
    for (const corner of [a, b, c]) {
      normals[corner] += x;
      normals[corner + 1] += y;
      normals[corner + 2] += z;
    }
  }
  for (let i = 0; i < normals.length; i += 3) {
    const length = Math.hypot(normals[i], normals[i + 1], normals[i + 2]) || 1;
    for (let axis = 0; axis < 3; axis++) normals[i + axis] /= length;
  }
}
