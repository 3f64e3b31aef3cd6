"""Every command that writes, on inputs as small as it takes: what test_torture.py kills."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest

from likeness import FaceModel, Mesh
from likeness.assets import asset

MODEL = str(asset("face_model.npz"))
MEDIAPIPE = Path(__file__).parents[2] / "shared" / "data" / "teachers" / "mediapipe"
QUICK = ("--formats", "json", "obj", "--texture", "none", "--views", "1")
Arguments = list[str]


class Inputs:
    """What commands read; made when it is asked for.

    Args:
        folder: to make it in.
        small: a face model that trainings are quick with.
    """

    def __init__(self, folder: Path, small: FaceModel) -> None:
        self.folder, self._small = folder, small

    @cached_property
    def image(self) -> np.ndarray:
        """A photo of a face."""
        return np.asarray(pytest.importorskip("skimage.data").astronaut()[20:200, 140:300])

    @cached_property
    def people(self) -> str:
        """Two folders of two small photos."""
        import cv2

        for number, name in enumerate(("anna/1", "anna/2", "berta/1", "berta/2")):
            path = self.folder / "people" / f"{name}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), self.image[: 170 + 3 * number, number:, ::-1])
        return str(self.folder / "people")

    @cached_property
    def photo(self) -> str:
        """One of the photos."""
        return str(Path(self.people, "anna", "1.jpg"))

    @cached_property
    def one(self) -> str:
        """One of the folders."""
        return str(Path(self.people, "anna"))

    @cached_property
    def points(self) -> str:
        """The 68 points of a face as a .pts."""
        model = FaceModel.load(MODEL)
        points = model.landmark_map.gather(model.mean)
        inner, outer = points[:51], points[51:].reshape(17, -1, 3)[:, -1]
        placed = np.concatenate([outer, inner]) @ np.diag([1, -1, -1]) + [0, 0, 900]
        pixels = 900 * placed[:, :2] / placed[:, 2:] + 200
        lines = ["version: 1", "n_points: 68", "{", *(f"{x:.2f} {y:.2f}" for x, y in pixels), "}", ""]
        path = self.folder / "face.pts"
        path.write_text("\n".join(lines))
        return str(path)

    @cached_property
    def video(self) -> str:
        """A clip of a head that moves."""
        from acted_videos import act, filmed
        from video_files import write_video

        model = FaceModel.load(MODEL)
        return str(write_video(self.folder / "clip.mp4", filmed(model, [act(model, 1, 6)])))

    @cached_property
    def scan(self) -> str:
        """The average head as a scan; its inner landmarks beside it (.txt)."""
        model = FaceModel.load(MODEL)
        Mesh(model.mean, model.topology.triangles).save(self.folder / "scan.obj")
        np.savetxt(self.folder / "scan.txt", model.landmark_points(np.zeros(len(model.identity_basis)))[:51])
        return str(self.folder / "scan.obj")

    @cached_property
    def model(self) -> str:
        """A face model."""
        self._small.save(self.folder / "model.npz")
        return str(self.folder / "model.npz")

    @cached_property
    def codes(self) -> str:
        """Codes of four people."""
        from evaluate_data import codes_of

        who = [(person, number) for person in range(4) for number in range(2)]
        codes = [codes_of(self._small, *one) for one in who]
        np.savez(self.folder / "codes.npz", codes=codes, labels=[f"p{person}" for person, _ in who])
        return str(self.folder / "codes.npz")

    @cached_property
    def scans(self) -> str:
        """Scans of two of them."""
        from evaluate_data import codes_of

        folder = self.folder / "scans"
        folder.mkdir()
        for person in range(2):
            code = codes_of(self._small, person, 0)
            self._small.mesh(code).save(folder / f"p{person}.ply")
            np.savetxt(folder / f"p{person}.txt", self._small.landmark_points(code)[:51])
        return str(folder)

    @cached_property
    def landmarks(self) -> str:
        """Landmarks and what is right."""
        from evaluate_data import drawing

        truth = np.stack([drawing(), drawing() + 3])
        np.savez(self.folder / "landmarks.npz", landmarks=truth + [3.0, 4.0], truth=truth)
        return str(self.folder / "landmarks.npz")

    @cached_property
    def frames(self) -> str:
        """A tar of pictures with landmarks, people and clips."""
        from train_sources import write_frames

        return str(write_frames(self.folder / "frames.tar", 18))

    @cached_property
    def clips(self) -> str:
        """The same, of a face; where its landmarks are, the network says."""
        import cv2
        from evaluate_data import write_tar

        from likeness import Reconstructor

        (face,) = Reconstructor(threads=1)(self.image)
        files: dict[str, bytes] = {}
        for number in range(6):
            picture = cv2.imencode(".png", self.image[: 170 + number, :, ::-1])[1].tobytes()
            note = {"identity": f"p{number % 2}", "clip": f"c{number % 4}", "landmarks": face.landmarks.tolist()}
            files |= {f"k{number}.png": picture, f"k{number}.json": json.dumps(note).encode()}
        return str(write_tar(self.folder / "clips.tar", files))

    @cached_property
    def photos(self) -> str:
        """A folder as `train detector` has it: photos/video-train.tar and photos/photo-train.tar."""
        from evaluate_data import write_tar
        from train_sources import write_frames

        folder = self.folder / "data" / "photos"
        folder.mkdir(parents=True)
        write_frames(folder / "video-train.tar")
        people = {path.relative_to(self.people).as_posix(): path for path in Path(self.people).rglob("*.jpg")}
        write_tar(folder / "photo-train.tar", {name: path.read_bytes() for name, path in people.items()})
        return str(folder.parent)

    @cached_property
    def synthetic(self) -> str:
        """Rendered faces."""
        from train_sources import write_synthetic

        return str(write_synthetic(self._small, self.folder / "synthetic", 30))

    @cached_property
    def teacher(self) -> str:
        """A recognition network."""
        from train_sources import write_teacher

        return str(write_teacher(self.folder / "teacher.onnx"))

    @cached_property
    def run(self) -> str:
        """A training whose network places points; its map and labels of `frames` are map.npz and labels.npz."""
        from dense_points import place, small_map
        from test_train_fusion_run import write_run

        from likeness.datasets.dense_labels import PointLabels, write_point_labels

        small_map(self._small).save(self.folder / "map.npz")
        placed = place(self._small, 18, 90.0)
        labels = PointLabels("", tuple(f"k{n}" for n in range(18)), placed, np.full((18, placed.shape[1]), 0.3))
        write_point_labels(self.folder / "labels.npz", labels)
        return str(write_run(self._small, self.folder / "run"))

    @cached_property
    def heads(self) -> str:
        """A mesh and a face model to look at."""
        Mesh(self._small.mean, self._small.topology.triangles).save(self.folder / "head.ply")
        return str(self.folder / "head.ply")


@dataclass(frozen=True)
class Target:
    """A command.

    Args:
        arguments: of the inputs and the output.
        out: what is written to, in a folder of its own.
        is_same: to the last byte, whenever it is run on the same inputs.
        is_named: the files have the same names, whenever it is run.
        is_done_once: a run in the folder of one that came to its end has nothing to write.
        is_quick: enough for every run of the tests.
        needs: a package without which there is no such command.
        function: who is called with the arguments; the command, if nothing else is said.
    """

    arguments: Callable[[Inputs, str], Arguments]
    out: str = "out"
    is_same: bool = True
    is_named: bool = True
    is_done_once: bool = False
    is_quick: bool = False
    needs: str = "likeness"
    function: str = "likeness.cli.main:main"


def reconstruct(what: str, *more: str) -> Callable[[Inputs, str], Arguments]:
    """`likeness reconstruct` of an attribute of the inputs."""
    return lambda inputs, out: ["reconstruct", getattr(inputs, what), "--threads", "1", *more, "-o", out]


def evaluate(what: str, given: str, *more: str) -> Callable[[Inputs, str], Arguments]:
    """`likeness evaluate`, with the model that the codes are of."""
    return lambda inputs, out: ["evaluate", what, getattr(inputs, given), *more, "-o", out]


def of_codes(what: str, *more: str) -> Callable[[Inputs, str], Arguments]:
    """`likeness evaluate` of codes."""
    return lambda inputs, out: ["evaluate", what, inputs.codes, "--model", inputs.model, *more, "-o", out]


def fusion(inputs: Inputs, out: str) -> Arguments:
    """`likeness train fusion`."""
    told = [inputs.run, "--data", inputs.frames, "--synthetic", inputs.synthetic, "--model", inputs.model]
    told += ["--point-labels", str(inputs.folder / "labels.npz"), "--point-map", str(inputs.folder / "map.npz")]
    return ["train", "fusion", *told, "--limit", "20", "--steps", "20", "--threads", "1", "-o", out]


def detector(inputs: Inputs, out: str) -> Arguments:
    """`likeness train detector`."""
    told = ["--data", inputs.photos, "--model", inputs.model, "--synthetic", inputs.synthetic]
    return ["train", "detector", *told, "--budget", "32", "--workers", "0", "--precision", "32-true", "-o", out]


def photos(inputs: Inputs, out: str) -> Arguments:
    """`likeness train photos`."""
    told = ["--data", inputs.frames, "--synthetic", inputs.synthetic, "--model", inputs.model]
    return ["train", "photos", *told, "--budget", "30", "--batch", "0.1", "--threads", "1", "-o", out]


def serve_and_keep(arguments: Arguments) -> None:
    """`likeness serve` with somebody who makes a head of a photo, has it kept, and ends the server.

    Args:
        arguments: the photo, the folder, the port.
    """
    from likeness.cli.main import main

    photo, out, port = arguments
    kept: list[str] = []

    def visit() -> None:
        with suppress(Exception):
            kept.append(_visit(f"http://127.0.0.1:{port}", Path(photo)))
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=visit, daemon=True).start()
    with suppress(SystemExit):
        main(["serve", "--keep", out, "--port", port, "--threads", "1"])
    raise SystemExit(not kept)


def _visit(base: str, photo: Path) -> str:
    import httpx

    with httpx.Client(base_url=base, timeout=120) as client:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with suppress(httpx.TransportError):
                client.post("/v1/sessions").raise_for_status()
                break
            time.sleep(0.02)
        made = client.post("/v1/heads?texture=0", content=photo.read_bytes())
        kept = client.post(f"/v1/heads/{made.raise_for_status().json()['heads'][0]['id']}/keep")
        return str(kept.raise_for_status().json()["name"])


def free_port() -> str:
    """A port at which nobody listens."""
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


TARGETS = {
    "reconstruct": Target(reconstruct("photo"), is_quick=True),
    "reconstruct by two": Target(reconstruct("one", "--jobs", "2", *QUICK)),
    "reconstruct --person": Target(reconstruct("one", "--person", *QUICK)),
    "reconstruct --people": Target(reconstruct("people", "--people", *QUICK)),
    "reconstruct --group": Target(reconstruct("one", "--group", *QUICK)),
    "reconstruct into tables": Target(
        reconstruct("people", "--formats", "parquet", "json", "--texture", "none", "--views", "1"),
        is_done_once=True,
        needs="pyarrow",
    ),
    "reconstruct a video": Target(reconstruct("video"), needs="av"),
    "fit": Target(lambda inputs, out: ["fit", inputs.points, "--size", "400", "400", "-o", out], is_quick=True),
    "register": Target(
        lambda inputs, out: ["register", inputs.scan, "--landmarks", inputs.scan[:-3] + "txt", "-o", out],
        is_same=False,
        needs="igl",
    ),
    "models convert": Target(
        lambda inputs, out: ["models", "convert", inputs.model, out], "again.npz", is_quick=True
    ),
    "models transfer": Target(
        lambda inputs, out: ["models", "transfer", MODEL, MODEL, inputs.scan, "-o", out], needs="igl"
    ),
    "view": Target(lambda inputs, out: ["view", inputs.heads, "--no-open", "-o", out], "page.html", is_quick=True),
    "serve --keep": Target(
        lambda inputs, out: [inputs.photo, out, free_port()],
        is_same=False,
        is_named=False,
        needs="uvicorn",
        function="torture_targets:serve_and_keep",
    ),
    "evaluate recognisability": Target(of_codes("recognisability", "--bootstrap", "20"), is_quick=True),
    "evaluate verification": Target(of_codes("verification")),
    "evaluate reconstruction": Target(
        lambda inputs, out: of_codes("reconstruction", "--scans", inputs.scans)(inputs, out), needs="igl"
    ),
    "evaluate landmarks": Target(evaluate("landmarks", "landmarks")),
    "evaluate space": Target(of_codes("space")),
    "evaluate fidelity": Target(evaluate("fidelity", "clips")),
    "evaluate recognisability of photos": Target(evaluate("recognisability", "people", "--bootstrap", "20")),
    "train synthetic": Target(
        lambda inputs, out: ["train", "synthetic", "--model", inputs.model, "--count", "6", "-o", out],
        is_quick=True,
        needs="torch",
    ),
    "train skins": Target(
        lambda inputs, out: ["train", "skins", "--data", inputs.people, "--size", "64", "-o", out],
        "skins.npz",
        needs="torch",
    ),
    "train morphs": Target(
        lambda inputs, out: [
            *("train", "morphs", "--data", inputs.frames, "--teacher", inputs.teacher),
            *("--count", "4", "-o", out),
        ],
        needs="torch",
    ),
    "train label-points": Target(
        lambda inputs, out: [
            *("train", "label-points", "--data", inputs.clips, "--teacher", str(MEDIAPIPE), "-o", out)
        ],
        "labels.npz",
        needs="ai_edge_litert",
    ),
    "train scans": Target(
        lambda inputs, out: [
            *("train", "scans", inputs.model, "--template", inputs.model, "--budget", "200", "--size", "8"),
            *("--run", str(Path(out).with_name("run")), "-o", out),
        ],
        "made.npz",
        is_same=False,
        needs="torch",
    ),
    "train photos": Target(photos, is_same=False, needs="lightning"),
    "train detector": Target(detector, is_same=False, needs="torch"),
    "train fusion": Target(fusion, is_same=False, needs="torch"),
    "train export": Target(
        lambda inputs, out: ["train", "export", "--run", inputs.run, "-o", out], "again.onnx", needs="onnx"
    ),
}
