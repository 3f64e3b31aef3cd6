"""Every reader of bytes that nobody vouches for, each with a small valid file made by code, to be damaged."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import landmark_drawing

from likeness.errors import FileError
from likeness.model.face_model import FaceModel

Mutation = tuple[str, float, int]
"""What is done ("flip", "cut", "lie", "digits", "copy"), where (0 to 1 of the length), and with which number."""

LIES = (0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
WORDS = (b"9" * 19, b"9" * 400, b"-1", b"1e400", b"NaN", b"[" * 200, b'"\\ud800"', b"true")


@dataclass(frozen=True)
class Target:
    """A reader.

    Args:
        name: of the file that it reads.
        valid: makes the content.
        read: reads a file; anything but a return or a FileError is a crash.
        sealed: puts damaged content into its container with checksums that hold.
    """

    name: str
    valid: Callable[[FaceModel], bytes]
    read: Callable[[Path, FaceModel], Any]
    sealed: Callable[[bytes], bytes] = bytes


def damaged(data: bytes, mutations: Sequence[Mutation]) -> bytes:
    """A file's content after some mutations, one after the other."""
    content = bytearray(data)
    for kind, place, number in mutations:
        at = int(place * len(content))
        if kind == "flip" and at < len(content):
            content[at] ^= number % 255 + 1
        elif kind == "cut":
            del content[at:]
        elif kind == "lie":
            width = (1, 2, 4, 8)[number % 4]
            value = LIES[number // 8 % len(LIES)] % (1 << 8 * width)
            content[at : at + width] = value.to_bytes(width, "big" if number // 4 % 2 else "little")
        elif kind == "copy":
            content[at:at] = content[at : at + number % 64]
        elif kind == "digits":
            digits = [i for i in range(at, min(at + 200, len(content))) if 48 <= content[i] < 58]
            if digits:
                words = (
                    b"9" * 19,
                    b"9" * 400,
                    b"-1",
                    b"1e400",
                    b"NaN",
                    b"[" * 200,
                    b'"' + b"\\ud800" + b'"',
                    b"true",
                )
                content[digits[0] : digits[0] + 1] = words[number % len(words)]
    return bytes(content)


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


def read_cache(path: Path, _: FaceModel) -> Any:
    from likeness.evaluate.cache import Cache

    cache_folder = Cache(path.parent / "cache")
    place = cache_folder.folder / "ab" / "abc.bin"
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(path.read_bytes())
    return cache_folder.load("abc")


def with_digest(data: bytes) -> bytes:
    import hashlib

    return hashlib.sha256(data).digest() + data


def read_told(path: Path, _: FaceModel) -> Any:
    from likeness.networks.recogniser import Teacher
    from likeness.train.photos.teacher_embeddings import TeacherNotes

    teacher = Teacher.__new__(Teacher)
    object.__setattr__(teacher, "size", 3)
    return TeacherNotes(teacher, path, "me")._read(2, 4)


def told_arrays() -> dict[str, np.ndarray]:
    return {
        "digest": np.array("me"),
        "frames": np.ones((2, 3), np.float32),
        "photos": np.full((4, 3), np.nan, np.float32),
    }


def read_codes(path: Path, model: FaceModel) -> Any:
    from likeness.evaluate.inputs import read_codes as read

    return read(path, model)


def read_marks(path: Path, _: FaceModel) -> Any:
    from likeness.evaluate.reports.landmarks import landmarks_of_arrays

    return landmarks_of_arrays(path)


def read_points(path: Path, _: FaceModel) -> Any:
    from likeness.datasets.scan_landmark_files import read_landmarks

    return read_landmarks(path)


def read_results(path: Path, model: FaceModel) -> Any:
    from likeness.evaluate.saved_results import read_results as read

    return read(path.parent.parent, model)


def read_photos(path: Path, _: FaceModel) -> Any:
    from likeness.datasets.test_sets import open_photos

    for item in open_photos(path).items:
        try:
            item.image()
        except FileError:
            continue


def list_tar(path: Path, _: FaceModel) -> Any:
    from likeness.datasets.tars import list_tar as read

    return read(path).checked()


def read_folder_note(path: Path, model: FaceModel) -> Any:
    (path.parent / "me.png").write_bytes(encoded(".png"))
    read_photos(path.parent.parent, model)


def read_encoder(path: Path, _: FaceModel) -> Any:
    from likeness.model.codes import ShapeEncoder

    return ShapeEncoder.load(path)


def read_meshes(path: Path, model: FaceModel) -> Any:
    pytest.importorskip("torch")
    from likeness.train.scans.meshes import read_meshes as read

    return read(path, model, people=4, held_out=1)


def read_mesh_table(path: Path, model: FaceModel) -> Any:
    mesh(model).save(path.parent / "a.obj")
    return read_meshes(path.parent, model)


def read_checkpoint(path: Path, _: FaceModel) -> Any:
    from likeness.train.checkpoint import load_regressor

    return load_regressor(path)


def read_model(path: Path, _: FaceModel) -> Any:
    from likeness.model.formats import load_model

    return load_model(path)


def read_photo(path: Path, _: FaceModel) -> Any:
    from likeness.images.photo import load_photo

    return load_photo(path)


def read_mesh(path: Path, _: FaceModel) -> Any:
    from likeness.mesh import Mesh

    return Mesh.load(path)


def read_network(path: Path, _: FaceModel) -> Any:
    from likeness.networks.detector import Detector
    from likeness.networks.regressor import Network

    for network in (Network, Detector):
        try:
            network.load(path)
        except FileError:
            continue


def read_map(path: Path, _: FaceModel) -> Any:
    from likeness.readers import map_npy

    return map_npy(path, "an array").sum()


def read_truth(path: Path, _: FaceModel) -> Any:
    from likeness.datasets.rendered_people import photo_name, read_rendered_people

    (path.parent / photo_name(0)).touch()
    return read_rendered_people(path.parent)


def read_pair_table(path: Path, _: FaceModel) -> Any:
    from likeness.datasets.pairs import read_pair_csv

    return read_pair_csv(path)


def read_any_pairs(path: Path, _: FaceModel) -> Any:
    from likeness.datasets.pair_lists import read_pairs

    return read_pairs(path)


def read_pts(path: Path, _: FaceModel) -> Any:
    from likeness.datasets.annotations import read_pts as read

    return read(path)


def read_owner(path: Path, _: FaceModel) -> Any:
    from likeness.result_folder import RECORDS, ResultFolder

    place = path.parent / RECORDS / "me.json"
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(path.read_bytes())
    return ResultFolder(path.parent, "reconstruct").owner("me")


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

TARGETS: dict[str, Target] = {
    "codes": Target("a.npz", lambda m: npz(**codes_arrays(m)), read_codes),
    "codes, names": Target("a.npz", lambda m: npy(codes_arrays(m)["names"]), read_codes),
    "landmark arrays": Target("a.npz", lambda m: npz(**marks_arrays(m)), read_marks),
    "landmark file .npy": Target("a.npy", lambda _: npy(SEVEN), read_points),
    "landmark file .json": Target("a.json", lambda _: json.dumps({"points": SEVEN.tolist()}).encode(), read_points),
    "landmark file .txt": Target("a.txt", lambda _: re.sub(r"[\[\],]", " ", str(SEVEN)).encode(), read_points),
    "result": Target("p/me.json", result_bytes, read_results),
    "record of results": Target("me.json", lambda _: RECORD, read_owner),
    "note in a folder": Target("p/me.json", lambda _: note_bytes(), read_folder_note),
    "tar to measure": Target("a.tar", lambda _: tar(note_bytes()), read_photos),
    "tar to train on": Target("a.tar", lambda _: tar(note_bytes()), list_tar),
    "packed tar": Target("a.tgz", lambda _: gzip.compress(tar(note_bytes())), read_photos),
    "tar in a packed one": Target("a.tgz", lambda _: tar(note_bytes()), read_photos, gzip.compress),
    "zip of photos": Target("a.zip", lambda _: zip_of_photos(), read_photos),
    "note in a tar": Target("a.tar", lambda _: note_bytes(), list_tar, tar),
    "cache": Target("a.bin", lambda m: npz(**codes_arrays(m)), read_cache, with_digest),
    "encoder": Target("a.npz", lambda m: npz(**encoder_arrays(m)), read_encoder),
    "registered meshes": Target("a.npz", lambda m: npz(**mesh_arrays(m)), read_meshes),
    "table of meshes": Target("p/table.csv", lambda _: TABLE, read_mesh_table),
    "teacher's notes": Target("told.npz", lambda _: npz(**told_arrays()), read_told),
    "teacher's digest": Target(
        "told.npz",
        lambda _: npy(np.array("me")),
        read_told,
        within_npz("digest", frames=told_arrays()["frames"], photos=told_arrays()["photos"]),
    ),
    "checkpoint": Target("checkpoint.pt", lambda m: checkpoint_bytes(m.name), read_checkpoint),
    "face model": Target("a.npz", lambda m: saved(m, lambda x, p: x.save(p), ".npz"), read_model),
    "network": Target("a.onnx", onnx_bytes, read_network),
    "memory map": Target("a.npy", lambda _: npy(np.arange(24.0).reshape(2, 3, 4)), read_map),
    "rendered people": Target(
        "truth.npz",
        lambda _: npz(vertices=np.zeros((1, 9, 3)), landmarks=np.zeros((1, 68, 2)), yaw=np.zeros(1)),
        read_truth,
    ),
    "pairs": Target("a.csv", lambda _: PAIRS, read_pair_table),
    "list of pairs": Target("a.txt", lambda _: b"2 1\na 1 2\na 1 b 1\nb 1 2\nb 2 a 2\n", read_any_pairs),
    "points of 300W": Target("a.pts", lambda _: PTS, read_pts),
    "JPEG": Target("a.jpg", lambda _: with_exif(encoded(".jpg")), read_photo),
    "progressive JPEG": Target("a.jpg", lambda _: encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1), read_photo),
    **{
        f"photo {suffix}": Target(f"a{suffix}", lambda _, suffix=suffix: encoded(suffix), read_photo)  # type: ignore[misc]
        for suffix in (".png", ".webp", ".tif", ".bmp", ".jp2", ".ppm")
    },
    "photo .gif": Target("a.gif", lambda _: by_pillow("GIF", "PIL.GifImagePlugin"), read_photo),
    "photo .heic": Target("a.heic", lambda _: by_pillow("HEIF", "pillow_heif"), read_photo),
    "photo .avif": Target("a.avif", lambda _: by_pillow("AVIF", "PIL.AvifImagePlugin"), read_photo),
    "photo .jxl": Target("a.jxl", lambda _: by_pillow("JXL", "pillow_jxl"), read_photo),
    "photo .pgm": Target("a.pgm", lambda _: PGM, read_photo),
    **{
        f"mesh {suffix}": Target(
            f"a{suffix}",
            lambda m, suffix=suffix: saved(m, lambda x, p: mesh(x).save(p), suffix),
            read_mesh,  # type: ignore[misc]
        )
        for suffix in (".obj", ".ply")
    },
}
TARGETS["codes, names"] = Target(
    "a.npz",
    TARGETS["codes, names"].valid,
    read_codes,
    within_npz("names", codes=np.ones((4, 12)), labels=np.array(["a", "a", "b", "b"])),
)


def run(target: Target, content: bytes, model: FaceModel, folder: Path) -> None:
    """Let a reader have a file; FileError is an answer like any other."""
    path = folder / target.name
    os.makedirs(path.parent, exist_ok=True)
    path.write_bytes(target.sealed(content))
    try:
        target.read(path, model)
    except FileError as error:
        assert "\n" not in str(error)  # noqa: PT017
