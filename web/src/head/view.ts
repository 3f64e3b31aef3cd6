// A canvas that shows one head, or two side by side under one camera. It draws only when something has changed.
import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import type { Photo } from "./data";
import type { Head, Mode } from "./head";

export type Side = "front" | "three-quarter" | "left" | "right" | "back" | "top";

/** Where the camera stands, radians: azimuth to the subject's left, then up. */
const SIDES: Record<Side, [number, number]> = {
  front: [0, 0.02],
  "three-quarter": [0.45, 0.05],
  left: [Math.PI / 2, 0],
  right: [-Math.PI / 2, 0],
  back: [Math.PI, 0],
  top: [0, 1.2],
};
const FIELD_OF_VIEW = 22;
const MARGIN = 1.12;

interface Area {
  x: number;
  y: number;
  width: number;
  height: number;
}

export class HeadView {
  readonly controls: OrbitControls;
  /** Called after every change of the camera by hand. */
  onMove: () => void = () => {};

  private readonly renderer: THREE.WebGLRenderer;
  private readonly scene = new THREE.Scene();
  private readonly camera = new THREE.PerspectiveCamera(FIELD_OF_VIEW, 1, 10, 10000);
  private readonly fitted = new THREE.PerspectiveCamera();
  private readonly rig = new THREE.Group();
  private readonly lamps: Lamps;
  private readonly watcher: ResizeObserver;
  private shown: Head[] = [];
  private center = new THREE.Vector3();
  private radius = 150;
  /** Half the height, and half the width from whatever side, mm. */
  private extent: [number, number] = [130, 110];
  private photo: Photo | null = null;
  private frame = 0;
  /** The fitting distance for which the camera was placed last; a zoom is kept when the canvas changes. */
  private fittedAt = 0;

  constructor(readonly canvas: HTMLCanvasElement) {
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true, preserveDrawingBuffer: true });
    this.renderer.setPixelRatio(Math.min(2, window.devicePixelRatio));
    this.renderer.shadowMap.enabled = true;
    this.renderer.shadowMap.type = THREE.PCFShadowMap;
    this.renderer.toneMapping = THREE.NeutralToneMapping;
    this.renderer.setScissorTest(true);
    this.lamps = new Lamps(this.rig);
    this.scene.add(this.rig);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.enableDamping = false;
    this.controls.addEventListener("change", () => {
      this.requestRender();
      this.onMove();
    });
    this.watcher = new ResizeObserver(() => this.resize());
    this.watcher.observe(canvas);
    this.look("three-quarter");
    this.resize();
  }

  /** Shows one or two heads; the camera keeps its direction. */
  show(heads: Head[]): void {
    for (const head of this.shown) this.scene.remove(head.object);
    this.shown = heads;
    for (const head of heads) this.scene.add(head.object);
    this.frameHeads();
    this.requestRender();
  }

  setMode(mode: Mode): void {
    for (const head of this.shown) head.setMode(mode);
    this.requestRender();
  }

  setWireframe(on: boolean): void {
    for (const head of this.shown) head.setWireframe(on);
    this.requestRender();
  }

  /** Turns the lamps about the head (radians, 0: key light from the upper left) and sets how bright they are. */
  setLight(angle: number, brightness: number): void {
    this.lamps.set(angle, brightness);
    this.requestRender();
  }

  /** Sees the head from a side, at the distance that fills the canvas. */
  look(side: Side): void {
    const [azimuth, elevation] = SIDES[side];
    this.place(azimuth, elevation, this.fitting());
  }

  /** Moves the camera about the head by radians, and nearer by a factor below 1. */
  turn(azimuth: number, elevation = 0, factor = 1): void {
    const now = new THREE.Spherical().setFromVector3(this.camera.position);
    this.place(now.theta + azimuth, Math.PI / 2 - now.phi + elevation, now.radius * factor);
  }

  /** Degrees to the subject's left and upwards that the camera stands at. */
  get direction(): [number, number] {
    const now = new THREE.Spherical().setFromVector3(this.camera.position);
    return [THREE.MathUtils.radToDeg(now.theta), 90 - THREE.MathUtils.radToDeg(now.phi)];
  }

  /** Sees the (first) head through a photo's fitted camera, or freely again. */
  usePhotoCamera(photo: Photo | null): void {
    this.photo = photo;
    this.controls.enabled = photo === null;
    this.requestRender();
  }

  /** From the side that a photo was taken from, freely. */
  lookAsPhoto(photo: Photo): void {
    const r = photo.rotation;
    const position = new THREE.Vector3(-r[6], -r[7], -r[8]); // the camera's axis z, in model axes, points away from it
    const towards = new THREE.Spherical().setFromVector3(position);
    this.place(towards.theta, Math.PI / 2 - towards.phi, this.fitting());
  }

  /** The rectangle of the canvas, CSS pixels, that the photo fills under its own camera. */
  photoArea(photo: Photo): Area {
    const { clientWidth, clientHeight } = this.canvas;
    const scale = Math.min(clientWidth / photo.width, clientHeight / photo.height);
    const [width, height] = [photo.width * scale, photo.height * scale];
    return { x: (clientWidth - width) / 2, y: (clientHeight - height) / 2, width, height };
  }

  requestRender(): void {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.render());
  }

  /** Draws now. */
  render(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    for (const head of this.shown) head.update();
    this.renderer.setScissor(0, 0, width, height);
    this.renderer.setViewport(0, 0, width, height);
    this.renderer.clear();
    if (this.photo) {
      this.draw(this.shown[0], this.fittedCamera(this.photo), this.photoArea(this.photo));
      return;
    }
    const areas = this.areas(width, height);
    this.shown.forEach((head, i) => {
      this.camera.aspect = areas[i].width / areas[i].height;
      this.camera.updateProjectionMatrix();
      this.draw(head, this.camera, areas[i]);
    });
  }

  /** A PNG of what is drawn. */
  async picture(): Promise<Blob | null> {
    this.render();
    return new Promise((resolve) => this.canvas.toBlob(resolve, "image/png"));
  }

  dispose(): void {
    cancelAnimationFrame(this.frame);
    this.watcher.disconnect();
    this.controls.dispose();
    this.renderer.dispose();
  }

  private draw(head: Head | undefined, camera: THREE.PerspectiveCamera, area: Area): void {
    if (!head) return;
    for (const other of this.shown) other.object.visible = other === head;
    const offset = camera === this.fitted ? new THREE.Vector3() : this.center.clone().negate();
    head.object.position.copy(offset);
    const bottom = this.canvas.clientHeight - area.y - area.height;
    this.renderer.setViewport(area.x, bottom, area.width, area.height);
    this.renderer.setScissor(area.x, bottom, area.width, area.height);
    this.lamps.follow(camera, offset.clone().add(this.center), this.radius);
    this.renderer.render(this.scene, camera);
  }

  /** Side by side, one above the other where the canvas is narrow. */
  private areas(width: number, height: number): Area[] {
    if (this.shown.length < 2) return [{ x: 0, y: 0, width, height }];
    return width >= height
      ? [0, 1].map((i) => ({ x: (i * width) / 2, y: 0, width: width / 2, height }))
      : [0, 1].map((i) => ({ x: 0, y: (i * height) / 2, width, height: height / 2 }));
  }

  private frameHeads(): void {
    const box = new THREE.Box3();
    for (const head of this.shown) box.union(new THREE.Box3().setFromArray(head.drawn));
    if (box.isEmpty()) return;
    box.getCenter(this.center);
    const before = this.radius;
    const size = box.getSize(new THREE.Vector3());
    this.radius = size.length() / 2;
    this.extent = [size.y / 2, Math.max(size.x, size.z) / 2];
    this.camera.position.multiplyScalar(this.radius / before);
    this.camera.near = this.radius / 20;
    this.camera.far = this.radius * 60;
    this.controls.minDistance = this.radius * 1.05;
    this.controls.maxDistance = this.radius * 30;
    this.place(...this.angles(), this.fitting());
  }

  private angles(): [number, number] {
    const now = new THREE.Spherical().setFromVector3(this.camera.position);
    return [now.theta, Math.PI / 2 - now.phi];
  }

  private place(azimuth: number, elevation: number, distance: number): void {
    const polar = THREE.MathUtils.clamp(Math.PI / 2 - elevation, 0.02, Math.PI - 0.02);
    this.camera.position.setFromSphericalCoords(distance, polar, azimuth);
    this.fittedAt = this.fitting();
    this.controls.target.set(0, 0, 0);
    this.controls.update();
    this.requestRender();
    this.onMove();
  }

  /** The distance at which the heads fill their areas. */
  private fitting(): number {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const area = this.areas(width || 1, height || 1)[0];
    const up = Math.tan(THREE.MathUtils.degToRad(FIELD_OF_VIEW / 2));
    const across = up * (area.width / area.height);
    const [tall, wide] = this.extent;
    return MARGIN * Math.max(tall / up, wide / across) + 0.6 * wide;
  }

  /** `pixel = K (R x + t)` as a camera of three.js, whose axes are x right, y up, z backwards. */
  private fittedCamera(photo: Photo): THREE.PerspectiveCamera {
    const { fitted } = this;
    const { rotation: r, translation: t, focal, width, height, center } = photo;
    fitted.matrixAutoUpdate = false;
    const fromModel = new THREE.Matrix4();
    fromModel.set(r[0], r[1], r[2], t[0], -r[3], -r[4], -r[5], -t[1], -r[6], -r[7], -r[8], -t[2], 0, 0, 0, 1);
    fitted.matrix.copy(fromModel).invert();
    fitted.matrix.decompose(fitted.position, fitted.quaternion, fitted.scale);
    fitted.updateMatrixWorld(true);
    const distance = t[2];
    const [near, far] = [distance / 50, distance * 4];
    // Pixel (0, 0) is the centre of the first one, so the image spans -0.5 ... width - 0.5.
    const shiftX = 1 - (2 * (center[0] + 0.5)) / width;
    const shiftY = (2 * (center[1] + 0.5)) / height - 1;
    const depth = [-(far + near) / (far - near), (-2 * far * near) / (far - near)];
    fitted.projectionMatrix.set(
      ...[(2 * focal) / width, 0, shiftX, 0],
      ...[0, (2 * focal) / height, shiftY, 0],
      ...[0, 0, depth[0], depth[1]],
      ...([0, 0, -1, 0] as [number, number, number, number]),
    );
    fitted.projectionMatrixInverse.copy(fitted.projectionMatrix).invert();
    return fitted;
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    const zoom = this.fittedAt ? this.camera.position.length() / this.fittedAt : 1;
    this.renderer.setSize(width, height, false);
    this.place(...this.angles(), zoom * this.fitting());
    this.render();
  }
}

/** A key light with a soft shadow, a fill, a rim from behind, and light from all around; they stand with the camera. */
class Lamps {
  private readonly key = new THREE.DirectionalLight(0xfff6ee);
  private readonly fill = new THREE.DirectionalLight(0xeef3ff);
  private readonly rim = new THREE.DirectionalLight(0xffffff);
  private readonly around = new THREE.HemisphereLight(0xffffff, 0xa39a92);
  private readonly strengths = [2.3, 1.1, 1.0, 1.75];
  private angle = 0;

  constructor(private readonly group: THREE.Group) {
    this.set(0, 1);
    this.key.castShadow = true;
    this.key.shadow.mapSize.set(1024, 1024);
    this.key.shadow.radius = 6;
    this.key.shadow.bias = -0.0005;
    this.key.shadow.intensity = 0.55;
    group.add(this.key, this.key.target, this.fill, this.fill.target, this.rim, this.rim.target, this.around);
  }

  set(angle: number, brightness: number): void {
    this.angle = angle;
    [this.key, this.fill, this.rim, this.around].forEach((lamp, i) => (lamp.intensity = this.strengths[i] * brightness));
  }

  /** Puts the lamps where the camera is; `center` and `radius` of what they light. */
  follow(camera: THREE.Camera, center: THREE.Vector3, radius: number): void {
    this.group.position.copy(center);
    this.group.quaternion.copy(camera.quaternion);
    const away = 5 * radius;
    const at = (lamp: THREE.DirectionalLight, azimuth: number, elevation: number): void => {
      lamp.position.setFromSphericalCoords(away, Math.PI / 2 - elevation, azimuth + this.angle);
    };
    at(this.key, -0.55, 0.55);
    at(this.fill, 0.95, 0.1);
    at(this.rim, 2.6, 0.5);
    const { shadow } = this.key;
    const size = 1.1 * radius;
    Object.assign(shadow.camera, { left: -size, right: size, top: size, bottom: -size, near: away / 3, far: 2 * away });
    shadow.normalBias = radius / 150;
    shadow.camera.updateProjectionMatrix();
  }
}
