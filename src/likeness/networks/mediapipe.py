"""MediaPipe's face landmarker, from the user's own files: square crops of faces in, 478 surface points out.

Google's network (Grishchenko et al., Attention mesh, 2020) reads 256 pixels and knows 468 points of the face and 10
of the irises. It is run by LiteRT, which the extra ``points`` installs; the files are not part of this package.
"""

from __future__ import annotations

import importlib.util
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.extras import import_extra
from likeness.files import read_bytes

LANDMARKS_FILE = "face_landmarks_detector.tflite"
"""The network's file in a folder of MediaPipe's models."""

BUNDLE_SUFFIX = ".task"
LARGEST = 100_000_000
"""Bytes of a network in a bundle; more than any has."""

SIZE = 256
"""Side of the crops that it takes, pixels."""

POINTS = 478
"""How many points it places."""


class LandmarkerAnswer(NamedTuple):
    """What the network says of one crop.

    Attributes:
        points: (478, 3) float64: x, y in pixels of the crop, (0, 0) the first pixel's centre (the network counts from
            its corner: points of a face and of its mirror image then agree), and z in the same unit, smaller towards
            the camera.
        chance: that the crop shows a face, 0 to 1.
    """

    points: np.ndarray
    chance: float


@dataclass(frozen=True, eq=False)
class FaceLandmarker:
    """The network, ready to look; not safe for several threads at once.

    Attributes:
        interpreter: LiteRT's.
        outputs: numbers of its tensors: points, and the logit of "this is a face".
    """

    interpreter: Any
    outputs: tuple[int, int]

    @classmethod
    def load(cls, path: StrPath, threads: int = 1) -> FaceLandmarker:
        """Open the network.

        Args:
            path: the ``.tflite`` file, the folder that holds it as :data:`LANDMARKS_FILE`, or MediaPipe's bundle
                ``face_landmarker.task``, which is an archive of such files.
            threads: CPU threads.

        Raises:
            MissingExtraError: LiteRT is not installed.
            FileError: missing, damaged, or another network.
        """
        litert = import_extra("ai_edge_litert.interpreter", "MediaPipe's points", "points")
        file = Path(path) / LANDMARKS_FILE if Path(path).is_dir() else Path(path)
        if not file.is_file():
            raise FileError(file, "no such file; expected MediaPipe's face landmark network (.tflite)")
        try:
            interpreter = litert.Interpreter(model_content=_network(file), num_threads=threads)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise FileError(file, "cannot be read as a LiteRT model (.tflite)") from error
        inputs = [one["shape"].tolist() for one in interpreter.get_input_details()]
        sizes = {int(np.prod(one["shape"])): one["index"] for one in reversed(interpreter.get_output_details())}
        first = [one["index"] for one in interpreter.get_output_details() if int(np.prod(one["shape"])) == 1]
        if inputs != [[1, SIZE, SIZE, 3]] or 3 * POINTS not in sizes or not first:
            raise FileError(file, f"expected (1, 256, 256, 3) -> {POINTS} points and a score, got inputs {inputs}")
        return cls(interpreter, (sizes[3 * POINTS], first[0]))

    def __call__(self, crop: np.ndarray) -> LandmarkerAnswer:
        """What the network says of a crop (256, 256, 3) uint8 RGB."""
        interpreter = self.interpreter
        values = crop[None].astype(np.float32) / np.float32(255.0)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
        interpreter.invoke()
        points, logit = (interpreter.get_tensor(index) for index in self.outputs)
        found = points.reshape(POINTS, 3).astype(np.float64) - [0.5, 0.5, 0.0]
        return LandmarkerAnswer(found, float(1.0 / (1.0 + np.exp(-float(logit.reshape(-1)[0])))))


def _network(file: Path) -> bytes:
    """The network's file, from a bundle or as it is.

    Raises:
        FileError: a bundle without it, a damaged one, or a file that cannot be read.
    """
    try:
        if file.suffix != BUNDLE_SUFFIX:
            return read_bytes(file, LARGEST)
        with zipfile.ZipFile(file) as bundle:
            if bundle.getinfo(LANDMARKS_FILE).file_size > LARGEST:
                raise FileError(file, f"expected {LANDMARKS_FILE} of a few megabytes in it")
            return bundle.read(LANDMARKS_FILE)
    except KeyError as error:
        raise FileError(file, f"expected MediaPipe's face landmarker, which holds {LANDMARKS_FILE}") from error
    except (OSError, zipfile.BadZipFile) as error:
        raise FileError(file, f"cannot be read ({error})") from error


def installed_landmarker() -> Path:
    """The network in an installed ``mediapipe`` package, where its wheel carries it or somebody has put it there.

    Raises:
        FileError: there is no such package, or it does not have it.
    """
    spec = importlib.util.find_spec("mediapipe")
    folders = [] if spec is None else [Path(place) for place in spec.submodule_search_locations or ()]
    for folder in folders:
        for name in (LANDMARKS_FILE, f"face_landmarker{BUNDLE_SUFFIX}"):
            found = next(folder.rglob(name), None)
            if found is not None:
                return found
    where = "there is no package mediapipe" if spec is None else "the installed package mediapipe does not have it"
    raise FileError(
        LANDMARKS_FILE,
        f"{where}: name MediaPipe's face_landmarker{BUNDLE_SUFFIX}, or the folder of its .tflite files",
    )
