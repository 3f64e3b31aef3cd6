"""The face detector: recall, false faces and time, on frames, portraits and pasted scenes of people it never saw.

    python benchmarks/finder.py DATA [--finder FILE] [--network FILE] [--scenes N] [--every N] [--whole] [--haar]
        [--json FILE] [--picture FILE]

DATA holds photos/video-val.tar and photos/photo-val.tar. The scenes are pasted from these (and from synthetic heads
with --synthetic and --model) at 24 to 400 px into pictures of 160 to 640 px, with drawn hard negatives, from a seed.
A face counts as found when an answer's square overlaps its own by 40 % (intersection over union); false is what lies
on no face, or on one that has a better answer. ``--whole`` measures the whole program too, in which the network
confirms what the detector proposes; ``--haar`` OpenCV's frontal cascade, where this OpenCV has it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from likeness import Reconstructor
from likeness.images.photo import MIN_SIDE
from likeness.model.face_model import FaceModel
from likeness.networks.detector import SURE, Detector, default_detector
from likeness.reconstruct.proposals import crop_from_landmarks
from likeness.train.detector.faces import FaceBank, read_bank
from likeness.train.detector.scenes import Scene, SceneMaker, SceneSettings

Find = Callable[[np.ndarray], np.ndarray]
"""An image -> (n, 3) middles x, y and sizes of faces."""

SIZES = (24, 40, 80, 160, 400)
YAWS = (0, 30, 60, 90)
ANGLES = (0, 15, 30, 60)
HELD_OUT = 987_654_321
"""The first part of the scenes' seeds."""


def pasted_scenes(bank: FaceBank, count: int) -> list[Scene]:
    """Held-out scenes, 160 to 640 px a side, faces of 24 px to 400 px turned by up to 45°."""
    scenes = []
    for number in range(count):
        rng = np.random.default_rng((HELD_OUT, number))
        width, height = (int(side) for side in np.exp(rng.uniform(np.log(160), np.log(640), 2)))
        largest = min(400.0, 0.9 * min(width, height))
        maker = SceneMaker(bank, SceneSettings(sizes=(24.0, largest), turned=45.0))
        scenes.append(maker((HELD_OUT, number), (width, height)))
    return scenes


def whole_frames(bank: FaceBank) -> list[Scene]:
    """The frames as they are."""
    return [_scene(bank.frames.images[n], bank.frame(n).yaw, bank.frames.landmarks[n], "frame") for n in
            range(len(bank.frames.images))]  # fmt: skip


def portraits(bank: FaceBank) -> list[Scene]:
    """The photos as they are, where the network's own landmarks say their faces are."""
    assert bank.photos is not None
    assert bank.photo_index is not None
    assert bank.photo_landmarks is not None
    assert bank.photo_yaw is not None
    labels = zip(bank.photo_index, bank.photo_yaw, bank.photo_landmarks, strict=True)
    return [_scene(bank.photos.images[int(number)], abs(yaw), points, "photo") for number, yaw, points in labels]


def _scene(image: np.ndarray, yaw: float, landmarks: np.ndarray, kind: str) -> Scene:
    crop = crop_from_landmarks(landmarks, 64, upright=True)
    face = np.array([[*crop.center, crop.side / 1.5, crop.angle]])
    return Scene(image, face, np.array([yaw]), np.zeros((0, 3)), (kind,))


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, m) intersection over union of upright squares (n, 3) and (m, 3): middles x, y and sizes."""
    low = np.maximum((a[:, :2] - a[:, 2:] / 2)[:, None], (b[:, :2] - b[:, 2:] / 2)[None])
    high = np.minimum((a[:, :2] + a[:, 2:] / 2)[:, None], (b[:, :2] + b[:, 2:] / 2)[None])
    common = np.prod(np.maximum(high - low, 0.0), axis=-1)
    return np.asarray(common / (a[:, None, 2] ** 2 + b[None, :, 2] ** 2 - common))


def measure(find: Find, scenes: list[Scene]) -> dict[str, Any]:
    """Recall, false faces per image, and recall by size, yaw and angle."""
    found: list[bool] = []
    false, rows = 0, []
    for scene in scenes:
        answers = find(scene.image).reshape(-1, 3)
        if len(scene.faces):
            rows += list(zip(scene.faces[:, 2], scene.yaw, np.abs(np.degrees(scene.faces[:, 3])), strict=True))
        fits = overlaps(answers, scene.faces[:, :3]) > 0.4
        hit = np.asarray(fits.any(0))
        found += [bool(one) for one in hit]
        forgiven = (overlaps(answers, scene.ignored) > 0.2).any(1) & ~fits.any(1)
        false += len(answers) - int(hit.sum()) - int(forgiven.sum())
    hits, values = np.array(found, bool), np.array(rows).reshape(-1, 3)
    result = {
        "images": len(scenes),
        "faces": len(hits),
        "recall_percent": 100.0 * float(hits.mean()),
        "false_per_image": false / len(scenes),
    }
    for name, column, bounds in (("size", 0, SIZES), ("yaw", 1, YAWS), ("angle", 2, ANGLES)):
        for low, high in itertools.pairwise(bounds):
            chosen = (values[:, column] >= low) & (values[:, column] < high)
            if chosen.any():
                label = f"recall_percent, {name} {low}-{high} ({int(chosen.sum())})"
                result[label] = 100.0 * float(hits[chosen].mean())
    return result


def by_finder(finder: Detector, least: float) -> Find:
    """The detector alone."""

    def find(image: np.ndarray) -> np.ndarray:
        found = finder(image)
        found = found.select(found.score >= least)
        return np.column_stack([found.center, found.size])

    return find


def by_program(reconstruct: Reconstructor) -> Find:
    """The detector, its proposals confirmed by the network."""

    def find(image: np.ndarray) -> np.ndarray:
        crops = [crop_from_landmarks(face.landmarks, 64, upright=True) for face in reconstruct(image)]
        return np.array([[*crop.center, crop.side / 1.5] for crop in crops])

    return find


def by_haar() -> Find:
    """OpenCV's frontal cascade on the photo at up to 640 px; medians over frames place the landmarks' box in it."""
    import cv2
    import cv2.data

    classifier = getattr(cv2, "CascadeClassifier", None)
    if classifier is None:
        raise SystemExit(f"OpenCV {cv2.__version__} has no Haar cascades: pip install 'opencv-python-headless<5'")
    cascade = classifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")

    def find(image: np.ndarray) -> np.ndarray:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        squares = np.array(cascade.detectMultiScale(grey, 1.15, 3, minSize=(24, 24)), float).reshape(-1, 4)
        side = squares[:, 2]
        return np.column_stack([squares[:, 0] + side / 2, squares[:, 1] + 0.664 * side, 0.856 * side])

    return find


def times_ms(find: Find, scenes: list[Scene]) -> dict[str, float]:
    """Median time for a frame enlarged to 190 and 640 px on the longer side."""
    import cv2

    result = {}
    for side in (190, 640):
        images = []
        for scene in scenes[:: max(1, len(scenes) // 20)]:
            factor = side / max(scene.image.shape[:2])
            images.append(cv2.resize(scene.image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA))
        taken = []
        for _ in range(5):
            for image in images:
                start = time.perf_counter()
                find(image)
                taken.append(time.perf_counter() - start)
        result[f"ms_{side}px_median"] = 1e3 * float(np.median(taken))
        result[f"ms_{side}px_least"] = 1e3 * float(np.min(taken))
    return result


def draw(find: Find, scenes: list[Scene], path: Path) -> None:
    """Scenes with faces in green and answers in red, those with mistakes first."""
    import cv2

    tiles: list[tuple[int, np.ndarray]] = []
    for scene in scenes:
        answers = find(scene.image).reshape(-1, 3)
        fits = overlaps(answers, scene.faces[:, :3]) > 0.4
        wrong = int((~fits.any(0)).sum()) + int((~fits.any(1)).sum())
        tile, factor = scene.image.copy(), 256.0 / max(scene.image.shape[:2])
        tile = cv2.resize(tile, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        for squares, color in ((scene.faces[:, :3], (0, 255, 0)), (answers, (255, 40, 40))):
            for x, y, size in squares * factor:
                corners = [(round(x + sign * size / 2), round(y + sign * size / 2)) for sign in (-1, 1)]
                cv2.rectangle(tile, corners[0], corners[1], color, 2 if color[1] else 1)
        tiles.append((-wrong, np.pad(tile, ((0, 256 - tile.shape[0]), (0, 256 - tile.shape[1]), (0, 0)))))
    best = [tile for _, tile in sorted(tiles, key=lambda pair: pair[0])[:32]]
    rows = [np.concatenate(best[i : i + 8], 1) for i in range(0, len(best) - 7, 8)]
    cv2.imwrite(str(path), np.concatenate(rows)[..., ::-1])


def main() -> None:
    parser = argparse.ArgumentParser(description="Recall, false faces and time of the face detector.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--finder", type=Path, help="another finder (.onnx) than the embedded one")
    parser.add_argument("--network", type=Path, help="another network (.onnx) than the embedded one, for --whole")
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--every", type=int, default=1, help="every N-th frame and photo only")
    parser.add_argument("--least", type=float, default=SURE, help="answers with lower scores are left out")
    parser.add_argument("--synthetic", type=Path, help="folder of synthetic faces for the scenes, with --model")
    parser.add_argument("--model", type=Path, help="the face model of the synthetic faces")
    parser.add_argument("--cache", type=Path, default=Path("work/finder"), help="where labels are kept")
    parser.add_argument("--whole", action="store_true", help="measure the whole program too")
    parser.add_argument("--haar", action="store_true", help="measure OpenCV's frontal cascade too")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, help="a picture of the scenes with mistakes")
    arguments = parser.parse_args()
    finder = Detector.load(arguments.finder) if arguments.finder else default_detector()
    photos = arguments.data / "photos"
    bank = read_bank(
        photos / "video-val.tar",
        photos / "photo-val.tar",
        arguments.cache,
        synthetic_folder=arguments.synthetic,
        model=FaceModel.load(arguments.model) if arguments.model else None,
        heads=500,
        backs=60,
        first=19_000,
    )
    sets = {
        "video-val": whole_frames(bank)[:: arguments.every],
        "photo-val": portraits(bank)[:: arguments.every],
        "pasted": pasted_scenes(bank, arguments.scenes),
    }
    ways: dict[str, Find] = {"finder": by_finder(finder, arguments.least)}
    if arguments.whole:
        ways["whole program"] = by_program(Reconstructor(network=arguments.network, threads=1, refine=False))
    if arguments.haar:
        ways["Haar"] = by_haar()
    result: dict[str, Any] = {"shortest side, pixels": MIN_SIDE, "least_score": arguments.least}
    for way, find in ways.items():
        for name, chosen in sets.items():
            result[f"{way}, {name}"] = measure(find, chosen)
        result[f"{way}, time"] = times_ms(find, sets["video-val"])
    for title, numbers in result.items():
        print(title if isinstance(numbers, dict) else f"{title:44} {numbers}")
        for key, value in numbers.items() if isinstance(numbers, dict) else ():
            print(f"  {key:42} {value:.3f}" if isinstance(value, float) else f"  {key:42} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.picture:
        draw(ways["finder"], sets["pasted"], arguments.picture)


if __name__ == "__main__":
    main()
