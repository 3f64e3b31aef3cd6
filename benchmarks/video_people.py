"""Who is who in videos: how often two people are taken for one, and one person for two.

    python benchmarks/video_people.py [DATA] [--videos N] [--sets N] [--work DIR] [--json FILE]

- Rendered: videos with cuts, three people in three shots each, every shot with its own light, distance, movement and
  noise, shots of one person never in succession; read as any video is.
- Clips (with DATA): annotated frames of ``photos/video-val.tar``, each clip as a track; sets of three people and all
  their clips as if they were one video.

Of pairs of shots (clips) the shares that are merged and split wrongly, and F (of one person's pairs, which are
together, and of those together, which are one person's), with the network's whitening and with plain cosines.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from fusion_albums import Album, Looker, photo_album
from video import DISTANCE, NOISE, RATE, SIZE

from likeness import FaceModel, Reconstructor
from likeness.evaluate.cache import Cache
from likeness.evaluate.predictions import open_predictor
from likeness.geometry.camera import Camera
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.images.video import VideoWriter
from likeness.reconstruct.cast import cast_of
from likeness.reconstruct.video import reconstruct_video
from likeness.render.lighting import studio_light
from likeness.render.shading import render_image

TOGETHER, SHOTS, FRAMES = 3, 3, 12
"""People of a video, shots of each, frames of a shot."""


class Tally:
    """Counts pairs of shots."""

    def __init__(self) -> None:
        self.merged = self.others = self.split = self.own = self.right = self.videos = 0

    def add(self, true: np.ndarray, found: np.ndarray) -> None:
        """One video: who is shown in each shot (N,), and who is found there; -1: nobody."""
        pairs = np.triu_indices(len(true), 1)
        same = (true[:, None] == true[None])[pairs]
        together = ((found[:, None] == found[None]) & (found >= 0)[:, None])[pairs]
        self.merged += int((~same & together).sum())
        self.others += int((~same).sum())
        self.split += int((same & ~together).sum())
        self.own += int(same.sum())
        self.right += bool((same == together).all())
        self.videos += 1

    def shares(self) -> dict[str, float]:
        together = self.own - self.split
        return {
            "F of pairs": 2 * together / max(self.own + together + self.merged, 1),
            "two people merged": self.merged / max(self.others, 1),
            "one person split": self.split / max(self.own, 1),
            "videos all right": self.right / max(self.videos, 1),
        }


def film(path: Path, model: FaceModel, rng: np.random.Generator, people: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """A video of people (code, albedo), shot after shot in turns."""
    camera = Camera(2.4 * SIZE[1], ((SIZE[0] - 1) / 2, (SIZE[1] - 1) / 2), SIZE)
    with VideoWriter(path, SIZE, RATE) as writer:
        for number in range(SHOTS * TOGETHER):
            code, albedo = people[number % TOGETHER]
            head, colours, triangles = model.vertices(code), model.albedo(albedo), model.topology.triangles
            start, way = rng.uniform((-0.5, -0.15, -0.1), (0.5, 0.15, 0.1)), rng.uniform(-0.2, 0.2, 3)
            place = np.array([rng.uniform(-40, 40), rng.uniform(-15, 15), DISTANCE * rng.uniform(0.95, 1.4)])
            light, ground = studio_light() * rng.uniform(0.8, 1.2, 3), rng.uniform(0.1, 0.9, 3)
            light[1:4] *= rng.uniform(-1, 1, (3, 1))
            for share in np.linspace(0, 1, FRAMES):
                rotation = FRONTAL @ rotation_from_euler(*(start + share * way))
                picture = render_image(head, triangles, colours, camera, rotation, place, light, ground)
                noisy = picture + rng.normal(0, NOISE, picture.shape)
                writer.write(np.clip(noisy, 0, 255).astype(np.uint8))


def measure_rendered(videos: int) -> dict[str, dict[str, float]]:
    """Whole videos, with the whitening and without."""
    reconstructor = Reconstructor(threads=1)
    whitened, tallies = reconstructor.network, {"whitened": Tally(), "plain": Tally()}
    for seed in range(videos):
        rng, model = np.random.default_rng([seed, 31]), reconstructor.model
        people = [
            (model.space.sample(1, rng)[0], 0.6 * rng.normal(size=len(model.albedo_names))) for _ in range(TOGETHER)
        ]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "people.mp4"
            film(path, model, rng, people)
            for name, tally in tallies.items():
                reconstructor.network = whitened if name == "whitened" else replace(whitened, digest="")
                found = np.full(SHOTS * TOGETHER, -1)
                for number, person in enumerate(reconstruct_video(reconstructor, path, smooth=False).people):
                    shots, counts = np.unique(person.frames // FRAMES, return_counts=True)
                    found[shots[counts > FRAMES // 2]] = number
                tally.add(np.arange(SHOTS * TOGETHER) % TOGETHER, found)
    return {name: tally.shares() for name, tally in tallies.items()}


def measure_clips(album: Album, network: str, sets: int) -> dict[str, dict[str, float]]:
    """Sets of people and all their clips, with the whitening and without."""
    found = {}
    for name, digest in (("whitened", network), ("plain", "")):
        tally, rng = Tally(), np.random.default_rng(0)
        for _ in range(sets):
            rows = np.flatnonzero(np.isin(album.who, rng.choice(album.people, TOGETHER, replace=False)))
            clips, track = np.unique(album.known["group"][rows], return_inverse=True)
            true = np.array([album.who[rows[track == number]][0] for number in range(len(clips))])
            who = np.full(len(clips), -1)
            for number, member in enumerate(cast_of(_as_video(album, rows, track), digest)):
                who[list(member.tracks)] = number
            tally.add(true, who)
        found[name] = tally.shares()
    return found


def _as_video(album: Album, rows: np.ndarray, track: np.ndarray) -> dict[str, np.ndarray]:
    """The faces of some rows as of one video: clip after clip, each a scene."""
    order = np.argsort(track, kind="stable")
    faces = [album.faces[row] for row in rows[order]]
    count = np.arange(len(faces))
    return {
        "track": track[order],
        "scene": track[order],
        "frame": count,
        "time": count / RATE,
        "identity": np.stack([face.coefficients.identity for face in faces]),
        "features": np.stack([face.cues.features for face in faces if face.cues is not None]),
        "center": np.stack([face.landmarks.mean(0) for face in faces]),
        "size": np.array([np.sqrt(np.ptp(face.landmarks, axis=0).prod()) for face in faces]),
        "precision": np.array([face.cues.precision for face in faces if face.cues is not None]),
    }


def main() -> None:
    from rich.console import Console

    parser = argparse.ArgumentParser(description="Who is who in videos.")
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--videos", type=int, default=20, help="rendered ones")
    parser.add_argument("--sets", type=int, default=400, help="of people of the clips")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "likeness-fidelity")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = {}
    if arguments.data is not None:
        steps: Callable[[str], None] = Console(stderr=True).print
        look = Looker(open_predictor(None, None, threads=1), Cache(arguments.work / "cache"))
        album = photo_album(look, arguments.data / "photos" / "video-val.tar", steps)
        found["clips"] = measure_clips(album, look.network, arguments.sets)
    if arguments.videos:
        found["rendered"] = measure_rendered(arguments.videos)
    for part, ways in found.items():
        for way, shares in ways.items():
            print(f"{part:10}{way:10}" + "".join(f"{name}: {value:.3f}   " for name, value in shares.items()))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
