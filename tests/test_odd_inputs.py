"""What careless or hostile users give: pipes, devices, names, numbers, files that lie. A line each, bounded work."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_torture import leaves

from likeness import FaceModel, FileError, FileWarning, Mesh, cli
from likeness.cli.main import Likeness
from likeness.files import LARGEST_STREAM, check_writable, read_bytes
from likeness.mesh.obj_writer import write_obj
from likeness.readers import MAX_CELLS, MAX_EMPTY, read_npy, read_rows

POSIX = pytest.mark.skipif(os.name != "posix", reason="names and pipes as POSIX has them")


def run(*arguments: object) -> int:
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def npy(kind: str, shape: str, data: bytes = b"") -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


@POSIX
def test_pipes_and_devices_in_a_folder_are_no_photos(tmp_path: Path) -> None:
    from likeness.reconstruct.inputs import photo_files

    (tmp_path / "a.jpg").write_bytes(b"photo")
    os.mkfifo(tmp_path / "b.jpg")
    os.symlink("/dev/zero", tmp_path / "c.jpg")
    os.symlink("nowhere", tmp_path / "d.jpg")  # is told, not left out in silence
    assert [path.name for path in photo_files(tmp_path)] == ["a.jpg", "d.jpg"]


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no device without an end")
def test_reading_has_an_end(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=f"at most {LARGEST_STREAM >> 20} MiB"):
        read_bytes("/dev/zero")
    (tmp_path / "file").write_bytes(b"12345")
    assert read_bytes(tmp_path / "file", 5) == b"12345"
    with pytest.raises(FileError, match="at most"):
        read_bytes(tmp_path / "file", 4)


def test_arrays_without_values_are_not_long(tmp_path: Path) -> None:
    (tmp_path / "fine.npy").write_bytes(npy("<f4", f"(0, {MAX_EMPTY})"))
    assert read_npy(tmp_path / "fine.npy", "an array").shape == (0, MAX_EMPTY)
    for shape in (f"({1 << 40}, 0)", f"(0, {1 << 20}, {1 << 20})"):
        (tmp_path / "long.npy").write_bytes(npy("<f4", shape))
        with pytest.raises(FileError, match="an empty one"):
            read_npy(tmp_path / "long.npy", "an array")


def test_regions_of_a_model_are_as_long_as_it_has_vertices(small_model: FaceModel, tmp_path: Path) -> None:
    small_model.save(tmp_path / "small.npz")
    arrays = dict(np.load(tmp_path / "small.npz"))
    arrays["regions"] = arrays["regions"][:, :0]
    np.savez(tmp_path / "short.npz", **arrays)
    with pytest.raises(FileError, match="regions must be"):
        FaceModel.load(tmp_path / "short.npz")


def test_tables_have_an_end(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text("," * (MAX_CELLS + 1))
    with pytest.raises(FileError, match="cells"):
        read_rows(tmp_path / "wide.csv", "a table")


def textured(mesh: Any = None) -> Mesh:
    rng = np.random.default_rng(0)
    return Mesh(
        np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32),
        np.array([[0, 1, 2]], np.int32),
        uv=np.array([[0, 0], [1, 0], [0, 1]], np.float32),
        texture=rng.integers(0, 255, (4, 4, 3), dtype=np.uint8),
    )


@POSIX
@pytest.mark.parametrize(
    "name", [b"M\xfcller", b"two  blanks", b" first", b"a #1", b"-option", b"line\nend", b"tab\tend", b"back\\slash"]
)
def test_a_texture_comes_back_whatever_the_name(name: bytes, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(name + b".obj")
    mesh = textured()
    write_obj(path, mesh)
    again = Mesh.load(path)
    assert again.texture is not None
    np.testing.assert_array_equal(again.texture, mesh.texture)


def test_a_texture_whose_name_windows_wrote(tmp_path: Path) -> None:
    mesh = textured()
    write_obj(tmp_path / "Müller.obj", mesh)
    for name in ("Müller.obj", "Müller.mtl"):
        file = tmp_path / name
        file.write_bytes(file.read_bytes().decode().encode("cp1252"))
    again = Mesh.load(tmp_path / "Müller.obj")
    assert again.texture is not None


@POSIX
def test_a_material_without_an_end(tmp_path: Path) -> None:
    write_obj(tmp_path / "a.obj", textured())
    (tmp_path / "a.mtl").unlink()
    os.symlink("/dev/zero", tmp_path / "a.mtl")
    with pytest.warns(FileWarning):
        assert Mesh.load(tmp_path / "a.obj").texture is None


def points(folder: Path, **other: object) -> Path:
    angles = np.linspace(0, 6, 68)
    values = {"landmarks": (100 * np.stack([np.cos(angles), np.sin(angles)], 1) + 200).tolist(), **other}
    (folder / "a.json").write_text(json.dumps(values))
    return folder / "a.json"


@pytest.mark.parametrize(
    "options",
    [("--max-faces", 0), ("--max-faces", -1), ("--threads", -5), ("--threads", 10**9), ("--min-score", "nan")],
)
def test_numbers_of_photos_that_make_no_sense(
    options: tuple[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"photo")
    assert run("reconstruct", tmp_path / "a.jpg", "-o", tmp_path / "out", *options) == 2
    assert capsys.readouterr().err.startswith("likeness: expected ")


@pytest.mark.filterwarnings("error")
def test_scans_of_endless_size(tmp_path: Path) -> None:
    from likeness.register.scan import read_scan

    (tmp_path / "a.obj").write_text("v 1e308 1e308 0\nv -1e308 0 0\nv 0 1e308 1\nf 1 2 3\n")
    with pytest.raises(FileError, match="coordinates"):
        read_scan(tmp_path / "a.obj")


def test_a_photo_that_is_named_twice_is_done_once(tmp_path: Path) -> None:
    from likeness.cli.reconstruct import _photos

    given = (tmp_path / "a.jpg", tmp_path / "sub" / ".." / "a.jpg", tmp_path / "b.jpg", tmp_path / "a.jpg")
    assert [path.name for path in _photos(given)] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    "other",
    [{"photo_size": [10**30, 10**30]}, {"landmarks": [[1, 1]] * 68}, {"landmarks": [[1e300, i] for i in range(68)]}],
)
@pytest.mark.filterwarnings("error")
def test_points_that_make_no_sense_do_not_end_the_others(
    other: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = points(tmp_path, photo_size=[400, 400]), tmp_path / "bad.json"
    bad.write_text(json.dumps({**json.loads(good.read_text()), **other}))
    assert run("fit", bad, good, "-o", tmp_path / "out", "--formats", "json") == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"likeness: {bad}: expected ")
    assert len(printed.err.splitlines()) == 1
    assert (tmp_path / "out" / "a.json").exists()
    assert run("fit", good, "-o", tmp_path / "out", "--error", 0) == 2


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("codes", [np.zeros((0, 5)), np.full((1, 5), 1e300), np.full((1, 5), np.nan)])
def test_codes_that_make_no_sense(
    codes: np.ndarray, small_model: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "small.npz"
    small_model.save(model)
    size = len(small_model.identity_basis)
    np.savez(tmp_path / "codes.npz", identity=np.repeat(codes[:, :1], size, axis=1))
    assert run("models", "transfer", model, model, tmp_path / "codes.npz", "-o", tmp_path / "out") == 2
    assert "codes.npz: expected" in capsys.readouterr().err


@pytest.mark.parametrize("options", [("--count", 0), ("--count", -1), ("--processes", 0)])
def test_sets_of_nothing(
    options: tuple[str, int], small_model: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_model.save(tmp_path / "small.npz")
    out = tmp_path / "set"
    assert run("train", "synthetic", "--model", tmp_path / "small.npz", "-o", out, *options) == 2
    assert f"likeness: expected {options[0]} of at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("empty", [("-o", ""), ("--out", ""), ("--out=",), ("-o=",), ("",)])
def test_an_empty_argument_is_not_the_current_folder(
    empty: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"photo")
    monkeypatch.chdir(tmp_path)
    for words in leaves(Likeness):
        assert run(*words.split(), "a.jpg", *empty, "--json") == 2
        printed = capsys.readouterr()
        assert printed.err.count("\n") == 1
        assert "expected" in printed.err
        assert json.loads(printed.out)["error"] in printed.err
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


@pytest.mark.parametrize("option", ["--bootstrap", "--seed"])
def test_numbers_below_zero_are_refused_before_the_work(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("evaluate", "recognisability", tmp_path / "no photos", option, "-1", "-o", tmp_path / "out") == 2
    assert capsys.readouterr().err == f"likeness: expected {option} of at least 0, got -1\n"


@POSIX
def test_an_output_of_too_long_a_name_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"too long.*expected a writable folder"):
        check_writable(tmp_path / ("a" * 300))
