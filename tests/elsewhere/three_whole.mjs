// Opens a GLB file of a whole head without textures as three.js does, moves it, and prints what came of it, as JSON.
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
const gltf = await new GLTFLoader().parseAsync(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength), "");
const meshes = [];
const bones = [];
gltf.scene.traverse((object) => {
  if (object.isSkinnedMesh) meshes.push(object);
  if (object.isBone) bones.push(object.name);
});
const eyes = gltf.scene.getObjectByName("eyes");

function iris() {
  gltf.scene.updateMatrixWorld(true);
  return eyes.getVertexPosition(0, new THREE.Vector3()).toArray();
}

const rest = iris();
const look = eyes.morphTargetDictionary.eyeLookUpLeft;
eyes.morphTargetInfluences[look] = 1;
const byShape = iris();
eyes.morphTargetInfluences[look] = 0;
const joint = gltf.scene.getObjectByName("eyeLeft");
joint.rotation.x = -Math.PI / 9; // 20 degrees, as the shape turns it
const byJoint = iris();
joint.rotation.x = 0;
const mixer = new THREE.AnimationMixer(gltf.scene);
mixer.clipAction(gltf.animations[0]).play();
mixer.setTime(gltf.animations[0].duration / 2);
const moved = gltf.scene.children[0].position.x;
console.log(JSON.stringify({ meshes: meshes.map(({ name }) => name), bones, rest, byShape, byJoint, moved }));
