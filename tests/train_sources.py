"""Small things to train on, made from a seed: frames, photos, rendered faces, morphs and a teacher."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
from conftest import landmark_drawing

from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.model.face_model import FaceModel

TOLD = 6
"""Numbers per embedding of the small teacher."""


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def picture(rng: np.random.Generator, width: int = 90, height: int = 100) -> bytes:
    coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return bytes(cv2.imencode(".png", cv2.resize(coarse, (width, height)))[1].tobytes())


def write_frames(path: Path, count: int = 8, people: int = 3) -> Path:
    """A WebDataset tar of pictures with landmarks, identity and clip."""
    rng = np.random.default_rng(0)
    with tarfile.open(path, "w") as archive:
        for number in range(count):
            points = landmark_drawing() * [0.3, -0.3] + rng.uniform(40, 50, 2)
            note = {"identity": f"p{number % people}", "clip": f"c{number % 4}", "landmarks": points.tolist()}
            add(archive, f"k{number}.png", picture(rng))
            add(archive, f"k{number}.json", json.dumps(note).encode())
    return path


def write_photos(path: Path, count: int = 6, people: int = 2) -> Path:
    """A tar of IDENTITY/NAME.png."""
    rng = np.random.default_rng(1)
    with tarfile.open(path, "w") as archive:
        for number in range(count):
            add(archive, f"q{number % people}/{number}.png", picture(rng))
    return path


def write_synthetic(model: FaceModel, folder: Path, count: int, size: int = 64) -> Path:
    """Labels of plausible faces with noise for pictures."""
    rng = np.random.default_rng(5)
    folder.mkdir()
    fields = {
        "rgba": rng.integers(0, 256, (count, size, size, 4), dtype=np.uint8),
        "identity": model.space.project(rng.standard_normal((count, len(model.identity_basis)))),
        "expression": rng.uniform(0, 0.4, (count, 52)),
        "albedo": rng.standard_normal((count, len(model.albedo_names))),
        "light": rng.standard_normal((count, 9, 3)),
        "rotation": FRONTAL @ rotation_from_euler(*rng.normal(0, 0.3, (3, count))),
        "translation": np.array([0.0, -40.0, 1200.0]) + rng.normal(0, [5, 5, 200], (count, 3)),
        "focal": rng.uniform(4.0, 6.0, count) * size,
    }
    for name, values in fields.items():
        np.save(folder / f"{name}.npy", values if values.dtype == np.uint8 else values.astype(np.float32))
    return folder


def write_morphs(folder: Path, count: int = 7, size: int = 64) -> Path:
    """Noise with landmarks and embeddings, two pictures per new person."""
    rng = np.random.default_rng(6)
    folder.mkdir()
    points = landmark_drawing() * [0.25, -0.25] + size / 2
    np.save(folder / "image.npy", rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8))
    np.save(folder / "landmarks.npy", (points + rng.normal(0, 1, (count, 68, 2))).astype(np.float32))
    np.save(folder / "told.npy", rng.standard_normal((count, TOLD)).astype(np.float32))
    np.save(folder / "person.npy", (np.arange(count) // 2).astype(np.int32))
    return folder


def write_teacher(path: Path, width: int = 96) -> Path:
    """A "face-recognition network": block means of the picture through a random matrix."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(7)
    matrix = rng.standard_normal((3 * 7 * (width // 16), TOLD)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["image"], ["small"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Flatten", ["small"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "teacher",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 112, width])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", TOLD])],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    path.write_bytes(model.SerializeToString())
    return path
