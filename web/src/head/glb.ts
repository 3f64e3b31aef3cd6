// A GLB file of likeness as a head. Others' files too, if they are one mesh.
import * as THREE from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
import { NO_SHAPES, type HeadData, type Shapes } from "./data";

const MM = 1000;

/** The first mesh of a GLB file. Throws an Error if there is none. */
export async function headFromGlb(file: ArrayBuffer, name = ""): Promise<HeadData> {
  const gltf = await new GLTFLoader().parseAsync(file, "");
  const meshes: THREE.Mesh[] = [];
  gltf.scene.traverse((object) => {
    if (object instanceof THREE.Mesh) meshes.push(object);
  });
  if (!meshes.length) throw new Error("expected a GLB file with a mesh, found none");
  const [mesh] = meshes;
  const geometry = mesh.geometry as THREE.BufferGeometry;
  const drawn = geometry.attributes.position.count;
  const copies = seamCopies(mesh);
  const count = drawn - copies.length;
  const texture = (mesh.material as THREE.MeshStandardMaterial).map;
  return {
    name: name || mesh.name,
    note: "",
    rig: {
      count,
      source: Uint32Array.from([...Array(count).keys(), ...copies]),
      triangles: Uint32Array.from(geometry.index?.array ?? Array(drawn).keys()),
      uv: geometry.attributes.uv ? floats(geometry.attributes.uv, 2, 1, drawn) : null,
      covered: null,
      face: null,
      expressions: shapesOf(mesh, count),
      directions: NO_SHAPES,
      model: String(mesh.userData.model ?? ""),
    },
    positions: floats(geometry.attributes.position, 3, MM, count),
    colors: geometry.attributes.color ? srgb(geometry.attributes.color, count) : null,
    texture: texture ? await blobOf(texture) : null,
    weights: [...(mesh.morphTargetInfluences ?? [])],
    photo: null,
  };
}

/** The model vertices of the copies at uv seams that likeness appended; it notes them in the mesh's extras. */
function seamCopies(mesh: THREE.Mesh): number[] {
  const noted: unknown = mesh.userData.seamSources;
  return Array.isArray(noted) ? (noted as number[]) : [];
}

function shapesOf(mesh: THREE.Mesh, count: number): Shapes {
  const targets = mesh.geometry.morphAttributes.position ?? [];
  const names = Object.entries(mesh.morphTargetDictionary ?? {}).sort((a, b) => a[1] - b[1]);
  return {
    names: targets.map((_, i) => names[i]?.[0] ?? `target${i}`),
    deltas: targets.map((target) => floats(target, 3, MM, count)),
  };
}

function floats(
  attribute: THREE.BufferAttribute | THREE.InterleavedBufferAttribute,
  size: number,
  factor: number,
  count: number,
): Float32Array {
  const values = new Float32Array(size * count);
  for (let i = 0; i < count; i++) {
    for (let axis = 0; axis < size; axis++) values[size * i + axis] = attribute.getComponent(i, axis) * factor;
  }
  return values;
}

function srgb(attribute: THREE.BufferAttribute | THREE.InterleavedBufferAttribute, count: number): Uint8Array {
  const linear = floats(attribute, 3, 1, count);
  const color = new THREE.Color();
  for (let i = 0; i < count; i++) {
    color.fromArray(linear, 3 * i).convertLinearToSRGB().toArray(linear, 3 * i);
  }
  return Uint8Array.from(linear, (value) => Math.round(255 * Math.min(1, Math.max(0, value))));
}

async function blobOf(texture: THREE.Texture): Promise<Blob> {
  const image = texture.image as ImageBitmap;
  const canvas = new OffscreenCanvas(image.width, image.height);
  canvas.getContext("2d")?.drawImage(image, 0, 0);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
}
