"""Small valid files of every kind, made by code, as bytes."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import landmark_drawing

from likeness.model.face_model import FaceModel


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def within_npz(member: str, **others: Any) -> Callable[[bytes], bytes]:
    """Puts an ``.npy``'s bytes into an ``.npz`` beside good arrays."""

    def sealed(data: bytes) -> bytes:
        stream = io.BytesIO(npz(**others))
        with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{member}.npy", data)
        return stream.getvalue()

    return sealed


def encoded(suffix: str, *options: int) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = cv2.resize(noise, (48, 32), interpolation=cv2.INTER_CUBIC)
    return bytes(cv2.imencode(suffix, image, list(options))[1].tobytes())


def by_pillow(kind: str, plugin: str) -> bytes:
    """What OpenCV does not write; the test is skipped where it cannot be written."""
    image_module = pytest.importorskip("PIL.Image")
    library = pytest.importorskip(plugin)
    if plugin == "pillow_heif":
        library.register_heif_opener()
    image_module.init()
    if kind not in image_module.SAVE:
        pytest.skip(f"this Pillow writes no {kind}")
    exif, stream = image_module.Exif(), io.BytesIO()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0xA405] = 50
    pixels = cv2.imdecode(np.frombuffer(encoded(".png"), np.uint8), cv2.IMREAD_COLOR)
    image_module.fromarray(pixels).save(stream, kind, exif=exif.tobytes())
    return stream.getvalue()


def with_exif(data: bytes) -> bytes:
    """A JPEG with an EXIF block of an orientation, a focal length and an EXIF folder."""
    import struct

    folder = struct.pack("<H", 2) + struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack("<HHII", 0x8769, 4, 1, 38)
    inner = struct.pack("<H", 2) + struct.pack("<HHII", 0xA405, 3, 1, 50) + struct.pack("<HHII", 0x920A, 5, 1, 68)
    block = b"Exif\0\0II*\0\x08\0\0\0" + folder + b"\0\0\0\0" + inner + b"\0\0\0\0" + struct.pack("<II", 500, 10)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]


def tar(note: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in (("a/1.png", encoded(".png")), ("a/1.json", note), (f"b/{'ü' * 60}.png", encoded(".png"))):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def zip_of_photos() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (("a/1.png", encoded(".png")), ("a/1.json", note_bytes()), ("b/2.png", encoded(".png"))):
            archive.writestr(name, data)
    return stream.getvalue()


def note_bytes() -> bytes:
    return json.dumps({"identity": "p1", "clip": 7, "landmarks": landmark_drawing().tolist()}).encode()


def result_bytes(model: FaceModel) -> bytes:
    content = {
        "photo": "me",
        "model": model.name,
        "score": 0.9,
        "identity": [0.5] * len(model.identity_basis),
        "expression": dict.fromkeys(model.expression_names, 0.25),
        "landmarks": landmark_drawing().tolist(),
    }
    return json.dumps(content).encode()


def saved(model: FaceModel, write: Callable[[FaceModel, Path], Any], suffix: str) -> bytes:
    """What something that only writes files writes."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"made{suffix}"
        write(model, path)
        return path.read_bytes()


def mesh(model: FaceModel) -> Any:
    from likeness.mesh import Mesh

    return Mesh(model.mean, model.topology.triangles)


def encoder_arrays(model: FaceModel) -> dict[str, np.ndarray]:
    zeros = np.zeros((4, *model.mean.shape), np.float32)
    return {"center": model.mean, "matrix": zeros, "offset": np.ones(4, np.float32)}


def mesh_arrays(model: FaceModel) -> dict[str, np.ndarray]:
    return {
        "vertices": np.stack([model.mean] * 3),
        "identity": np.arange(3),
        "weights": np.zeros((3, 52), np.float32),
        "held_out": np.array([False, False, True]),
    }


def codes_arrays(model: FaceModel) -> dict[str, np.ndarray]:
    size = len(model.identity_basis)
    codes = np.linspace(0, 1, 4 * size).reshape(4, size)
    return {"codes": codes, "labels": np.array(["a", "a", "b", "b"]), "names": np.array(["a1", "a2", "b1", "b2"])}


def marks_arrays(model: FaceModel) -> dict[str, np.ndarray]:
    points = np.stack([landmark_drawing()] * 2)
    return {"landmarks": points, "truth": points + 1, "names": np.array(["x", "y"])}


@cache
def checkpoint_bytes(model_name: str) -> bytes:
    import torch

    from likeness.train.photos.network import NetSettings, Regressor

    settings = NetSettings(3, 52, 2, widths=(4, 4, 4, 4, 4), blocks=(1, 1, 1, 1), neck=2, hidden=4)
    torch.manual_seed(0)
    stream = io.BytesIO()
    state = {"kind": "likeness regressor", "net": vars(settings), "average": Regressor(settings).state_dict()}
    torch.save(state, stream)
    return stream.getvalue()


def with_digest(data: bytes) -> bytes:
    import hashlib

    return hashlib.sha256(data).digest() + data


def told_arrays() -> dict[str, np.ndarray]:
    return {
        "digest": np.array("me"),
        "frames": np.ones((2, 3), np.float32),
        "photos": np.full((4, 3), np.nan, np.float32),
    }


def onnx_bytes(_: FaceModel) -> bytes:
    import onnx
    from onnx import TensorProto, helper

    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 8, 8, 3])
    out = helper.make_tensor_value_info("identity", TensorProto.FLOAT, [1, 8, 8, 3])
    graph = helper.make_graph([helper.make_node("Relu", ["image"], ["identity"])], "g", [image], [out])
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.helper.set_model_props(network, {"name": "small", "face_model": "small"})
    return network.SerializeToString()


PTS = b"version: 1\nn_points: 68\n{\n" + b"".join(b"%d.5 %d.25\n" % (n, 2 * n) for n in range(68)) + b"}\n"
SEVEN = np.array([[-30, 0, 0], [-15, 0, 1], [15, 0, 1], [30, 0, 0], [0, -30, 20], [-20, -60, 5], [20, -60, 5]], float)
PGM = b"P2 # grey\n32 32\n200\n" + b" ".join(b"%d" % (n % 200) for n in range(1024))
RECORD = b'{"command": "reconstruct", "source": "/a/b.jpg", "sha256": "00", "files": {"me.glb": ["00", "01"]}}'
TABLE = b"file,identity,expression\na.obj,anna,neutral\na.obj,berta,jawOpen:0.5\n"
PAIRS = b"first,second,same,fold\na/1,a/2,1,0\na/1,b/1,0,1\n"
