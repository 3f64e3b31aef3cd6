"""Every reader of bytes that nobody vouches for, each with a small valid file made by code, to be damaged."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fuzz_content import (
    PAIRS,
    PGM,
    PTS,
    RECORD,
    SEVEN,
    TABLE,
    by_pillow,
    checkpoint_bytes,
    codes_arrays,
    encoded,
    encoder_arrays,
    marks_arrays,
    mesh,
    mesh_arrays,
    note_bytes,
    npy,
    npz,
    onnx_bytes,
    result_bytes,
    saved,
    tar,
    told_arrays,
    with_digest,
    with_exif,
    within_npz,
    zip_of_photos,
)
from fuzz_damage import Target

from likeness.errors import FileError
from likeness.model.face_model import FaceModel


def read_cache(path: Path, _: FaceModel) -> Any:
    from likeness.evaluate.cache import Cache

    cache_folder = Cache(path.parent / "cache")
    place = cache_folder.folder / "ab" / "abc.bin"
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(path.read_bytes())
    return cache_folder.load("abc")


def read_told(path: Path, _: FaceModel) -> Any:
    from likeness.networks.recogniser import Teacher
    from likeness.train.photos.teacher_embeddings import TeacherNotes

    teacher = Teacher.__new__(Teacher)
    object.__setattr__(teacher, "size", 3)
    return TeacherNotes(teacher, path, "me")._read(2, 4)


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
