"""Archives of meshes and models that lie: every reader answers with a mesh, a model or FileError, and cheaply."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from likeness import FaceModel, FileError
from likeness.model.codes import ShapeEncoder
from likeness.readers import read_npz

Reader = Callable[[Path], object]


def written(kind: str, model: FaceModel, path: Path) -> Reader:
    """A good archive of a kind at ``path``, and its reader."""
    rng = np.random.default_rng(0)
    if kind == "model":
        model.save(path)
        return FaceModel.load
    if kind == "encoder":
        ShapeEncoder(model.mean, model.identity_basis, np.zeros(len(model.identity_basis), np.float32)).save(path)
        return ShapeEncoder.load
    pytest.importorskip("scipy")
    pytest.importorskip("torch")
    from likeness.train.scans.meshes import read_meshes

    count = 6
    np.savez_compressed(
        path,
        vertices=model.vertices(rng.normal(size=(count, len(model.identity_basis)))),
        identity=np.arange(count) // 2,
        weights=np.zeros((count, 52), np.float32),
        held_out=np.arange(count) >= 4,
    )
    return lambda file: read_meshes(file, model)


KINDS = ("model", "encoder", "meshes")
ODD = (
    np.zeros(0), np.zeros((0, 3), np.float32), np.array("text"), np.array(3), np.array(2.5), np.full((6,), np.nan),
    np.zeros((2, 2, 2, 2)), np.arange(6, dtype=np.uint64) + 2**63, np.array([b"x"] * 6), np.zeros(6, complex),
    np.array(["a"] * 6), np.zeros((6, 52), bool), np.array([-1, 10**9]), np.zeros(3, "f4,i4"), np.zeros(6, "M8[s]"),
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_another_kind(kind: str, small_model: FaceModel, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    read = written(kind, small_model, path)
    read(path)
    good = read_npz(path, "arrays")
    refused = 0
    for name in good:
        for value in ODD:
            np.savez(path, **{**good, name: value})
            try:
                read(path)
            except FileError as error:
                assert "\n" not in str(error)  # noqa: PT017
                refused += 1
    assert refused >= 0.6 * len(good) * len(ODD)


@pytest.mark.parametrize("kind", KINDS)
def test_random_damage(kind: str, small_model: FaceModel, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    read = written(kind, small_model, path)
    data = path.read_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(80):
        bad = bytearray(data[: rng.integers(1, len(data))] if rng.random() < 0.2 else data)
        for position in rng.integers(0, len(bad), 4):
            bad[position if rng.random() < 0.5 else -1 - position % min(len(bad), 900)] = rng.integers(256)
        path.write_bytes(bad)
        try:
            read(path)
        except FileError as error:
            assert "\n" not in str(error)  # noqa: PT017
            refused += 1
    assert refused > 20


def header(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"shape": shape, "fortran_order": False, "descr": kind})
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header((10**9,)) + bytes(80), "got 80 bytes"),
        (header((10**30,)), "an array's shape"),
        (header((10,), "|O") + b"\x80\x02]." + bytes(99), "Python objects"),
        (header((10,)) + bytes(79), "got 79 bytes"),
        (header((10,)) + bytes(81), "got 81 bytes"),
        (b"no array at all", "magic"),
        (bytes(300_000_000), "claim of 300000000 bytes"),
    ],
    ids=range(7),  # pytest 8.0 would name the tests by their bytes
)
def test_no_size_is_believed(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("vertices.npy", content)
    del content
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match=message):
            read_npz(path, "meshes")
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_every_kind_of_array_comes_back(tmp_path: Path) -> None:
    arrays = {
        "empty": np.zeros((0, 3)), "text": np.array("x"), "texts": np.array(["a", "bcd"]), "none": np.zeros(0, "U3"),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "bool": np.array([True]),
        "big": np.arange(3, dtype=">i4"),
    }  # fmt: skip
    np.savez(tmp_path / "a.npz", **arrays)
    for name, value in read_npz(tmp_path / "a.npz", "arrays").items():
        assert value.dtype == arrays[name].dtype
        np.testing.assert_array_equal(value, arrays[name])
