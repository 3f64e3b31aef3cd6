// Opens a GLB file without textures as three.js does, and prints what an application would see of it, as JSON.
import fs from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

globalThis.self = globalThis; // what browsers have and three.js asks for
const require = createRequire(process.argv[2] + "/");
const THREE = await import(pathToFileURL(require.resolve("three")).href.replace("three.cjs", "three.module.js"));
const { GLTFLoader } = await import(
  pathToFileURL(require.resolve("three/examples/jsm/loaders/GLTFLoader.js")).href
);

const bytes = fs.readFileSync(process.argv[3]);
const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
const gltf = await new GLTFLoader().parseAsync(buffer, "");
const head = gltf.scene.children[0];
const { position, color } = head.geometry.attributes;
const names = Object.keys(head.morphTargetDictionary ?? {});

function posed(weights) {
  head.morphTargetInfluences?.fill(0);
  for (const [name, weight] of Object.entries(weights)) {
    head.morphTargetInfluences[head.morphTargetDictionary[name]] = weight;
  }
  return Array.from({ length: position.count }, (_, i) => head.getVertexPosition(i, new THREE.Vector3()));
}

const weights = [...(head.morphTargetInfluences ?? [])];
const rest = posed({});
const moved = Object.fromEntries(
  names.map((name) => [name, Math.max(...posed({ [name]: 1 }).map((point, i) => point.distanceTo(rest[i])))]),
);
const size = new THREE.Box3().setFromPoints(rest).getSize(new THREE.Vector3());
const played = [];
for (const clip of gltf.animations) {
  const mixer = new THREE.AnimationMixer(gltf.scene);
  mixer.clipAction(clip).play();
  mixer.setTime(clip.duration / 2);
  played.push({
    name: clip.name,
    duration: clip.duration,
    weights: [...(head.morphTargetInfluences ?? [])],
    position: head.position.toArray(),
    quaternion: head.quaternion.toArray(),
  });
}
console.log(
  JSON.stringify({
    name: head.name,
    size: size.toArray(),
    names,
    weights,
    moved,
    colors: color ? Array.from({ length: 3 }, (_, axis) => color.getComponent(0, axis)) : null,
    vertexColors: head.material.vertexColors,
    userData: head.userData,
    played,
  }),
);
