// Runs a block of the documentation with three.js: PACKAGES BLOCK HEAD.glb; prints the head's weights by name, as JSON.
import fs from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [packages, block, file] = process.argv.slice(2);
globalThis.self = globalThis; // what browsers have and three.js asks for
const require = createRequire(packages + "/");
const THREE = await import(pathToFileURL(require.resolve("three")).href.replace("three.cjs", "three.module.js"));
const loaders = await import(pathToFileURL(require.resolve("three/examples/jsm/loaders/GLTFLoader.js")).href);

class GLTFLoader extends loaders.GLTFLoader {
  // Node does not fetch files; everything behind that is three.js's own.
  async loadAsync() {
    const bytes = fs.readFileSync(file);
    return this.parseAsync(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength), "");
  }
}

const scene = new THREE.Scene();
const run = Object.getPrototypeOf(async () => {}).constructor;
await new run("THREE", "GLTFLoader", "scene", fs.readFileSync(block, "utf8"))(THREE, GLTFLoader, scene);
const head = scene.getObjectByName("skin");
const weights = Object.entries(head.morphTargetDictionary).map(([name, at]) => [name, head.morphTargetInfluences[at]]);
process.stdout.write(JSON.stringify(Object.fromEntries(weights)) + "\n");
