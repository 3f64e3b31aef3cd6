"""Wrong, truncated and hostile files: one line that names the file, nothing executed, nothing large allocated."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import format_files
import numpy as np
import pytest
from test_formats import WRITERS

from likeness import FaceModel, FileError, cli
from likeness.model.formats import load_model
from likeness.model.formats.pickles import as_array, load_pickle

ENOUGH = 200_000_000  # bytes: what a small file may claim, twice while it is decompressed


def refused(path: Path, match: str | None = None) -> str:
    """The one line with which ``path`` is refused, without allocating much."""
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match=match) as caught:
            load_model(path)
        assert tracemalloc.get_traced_memory()[1] < ENOUGH
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert message.startswith(str(path.parent))
    assert "\n" not in message
    assert "expected" in message or "cannot" in message
    return message


class Call:
    """Pickles to a call of any function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple:
        return self.function, self.arguments


def traps(trap: Path) -> dict[str, bytes]:
    """Pickles that would make ``trap`` if anything in them were run."""
    array = np.zeros(3)
    command = f"touch {trap}"
    dumps = {
        f"{name}{protocol}": pickle.dumps(content, protocol)
        for protocol in range(6)
        for name, content in {
            "system": Call(os.system, command),
            "eval": Call(eval, f"open({str(trap)!r}, 'w')"),
            "nested": {"v_template": array, "shapedirs": {"x": [array, (Call(os.system, command),)]}, "f": array},
            "getattr": Call(getattr, os, "system") if protocol < 0 else Call(getattr, "x", "upper"),
        }.items()
    }
    text = str(trap).encode()
    dumps["inst"] = b"(S'touch " + text + b"'\nios\nsystem\n."
    dumps["obj"] = b"(cos\nsystem\nS'touch " + text + b"'\no."
    dumps["reconstructor"] = b"ccopy_reg\n_reconstructor\n(cos\nsystem\ncos\nsystem\nNtR."
    dumps["build"] = b"cnumpy\ndtype\n(S'__setstate__'\ncos\nsystem\ndb."
    dumps["extension"] = b"\x80\x02\x82\x01."
    dumps["persistent"] = b"Pos.system\n."
    return dumps


@pytest.mark.parametrize("name", traps(Path("trap")))
def test_no_pickled_code_is_run(name: str, small_model: FaceModel, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    data = traps(trap)[name]
    pkl, npy, npz = tmp_path / "flame.pkl", tmp_path / "faceverse.npy", tmp_path / "facescape.npz"
    pkl.write_bytes(data)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"shape": (), "fortran_order": False, "descr": "|O"})
    npy.write_bytes(header.getvalue() + data)
    written = format_files.write_facescape(tmp_path, small_model).path
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(npz, "w") as target:
        for entry in source.namelist():
            target.writestr(entry, npy.read_bytes() if entry == "id_mean.npy" else source.read(entry))
    for path in (pkl, npy, npz):
        refused(path)
    assert not trap.exists()


def test_a_pickle_leaves_no_mark_on_the_next(small_model: FaceModel, tmp_path: Path) -> None:
    (tmp_path / "bad.pkl").write_bytes(b"cnumpy\ndtype\n(N(S'kind'\nS'x'\ndtb0.")
    with pytest.raises(FileError):
        load_model(tmp_path / "bad.pkl")
    load_model(format_files.write_flame_pickle(tmp_path, small_model).path)


def test_what_the_pickle_is_refused_for_is_named(tmp_path: Path) -> None:
    (tmp_path / "flame.pkl").write_bytes(pickle.dumps(Call(os.system, "true"), 2))
    assert "system" in refused(tmp_path / "flame.pkl")


def array_state(shape: bytes, code: bytes, data: bytes) -> bytes:
    """A protocol-2 pickle of one NumPy array with any shape (a pickled tuple), type code and bytes."""
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        + shape
        + b"cnumpy\ndtype\nU"
        + bytes([len(code)])
        + code
        + b"K\x00K\x01\x87R\x89"
        + data
        + b"tb."
    )


@pytest.mark.parametrize(
    "data",
    [
        array_state(b"\x8a\x06\x00\x00\x00\x00\x00\x01\x85", b"f8", b"U\x08" + b"0" * 8),
        array_state(b"\x8a\x06\x00\x00\x00\x00\x00\x01\x85", b"O8", b"]"),
        array_state(b"J\xff\xff\xff\xff\x85", b"f8", b"U\x08" + b"0" * 8),
        array_state(b"K\x01\x85", b"V9999999999", b"U\x08" + b"0" * 8),
        array_state(b"K\x01\x85", b"f8,f8,f8", b"U\x08" + b"0" * 8),
        array_state(b"K\x01", b"f8", b"U\x08" + b"0" * 8),
        array_state(b"K\x02\x85", b"f8", b"U\x08" + b"0" * 8),
    ],
)
def test_arrays_that_contradict_themselves(data: bytes) -> None:
    with pytest.raises((ValueError, FileError)):
        as_array(load_pickle("x.pkl", data))


def test_a_plain_array_is_read() -> None:
    good = array_state(b"K\x01\x85", b"f8", b"U\x08" + struct.pack("<d", 2.5))
    assert as_array(load_pickle("x.pkl", good)).tolist() == [2.5]


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02Nr\xff\xff\xff\x7f.",  # memo entry 2^31
        b"Np99999999999\n.",
        b"\x80\x04\x8e\xff\xff\xff\xff\x00\x00\x00\x00.",  # 4 GB of bytes
        b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x00.",
        b"\x80\x02T\xff\xff\xff\x7f.",
        b"\x80\x02X\xff\xff\xff\xff.",
        b"\x80\x02.",
        b"\x80\x02",
        b"\x80\x02]q\x01h\x01a.",  # a list that holds itself
        b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".",
    ],
)
def test_pickles_with_absurd_counts(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "flame.pkl"
    path.write_bytes(data)
    refused(path)


@pytest.mark.parametrize("kind", WRITERS)
def test_truncated_files(kind: str, small_model: FaceModel, tmp_path: Path) -> None:
    path = WRITERS[kind](tmp_path, small_model).path
    data = path.read_bytes()
    for share in (0, 1e-4, 1e-3, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999):
        path.write_bytes(data[: int(share * len(data))])
        refused(path)
    path.write_bytes(data[:-1])
    refused(path)


@pytest.mark.filterwarnings("ignore::likeness.FileWarning", "ignore:invalid escape:DeprecationWarning")
@pytest.mark.parametrize("kind", [kind for kind in WRITERS if kind != "bfm-h5"])
def test_damaged_files_are_refused_or_read(kind: str, small_model: FaceModel, tmp_path: Path) -> None:
    path = WRITERS[kind](tmp_path, small_model).path
    data = path.read_bytes()
    rng = np.random.default_rng(11)
    for _ in range(40):
        damaged = bytearray(data)
        end = len(data) if rng.random() < 0.3 else min(len(data), 600)  # headers more often than numbers
        for position in rng.integers(0, end, 3):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            load_model(path)
        except FileError as error:
            assert "\n" not in str(error)  # noqa: PT017


def test_other_files(tmp_path: Path, small_model: FaceModel) -> None:
    refused(tmp_path / "missing.bin")
    for name in ("text.bin", "text.pkl", "text.mat", "text.h5", "text.npz", "text.npy", "text.txt"):
        (tmp_path / name).write_text("I am no model, and not even close to one. " * 20)
        refused(tmp_path / name)
        (tmp_path / name).write_bytes(b"")
        refused(tmp_path / name)
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder", "generic_neutral_mesh")
    np.savez(tmp_path / "other.npz", something=np.zeros(3))
    refused(tmp_path / "other.npz", "FLAME")
    np.save(tmp_path / "other.npy", np.zeros(3))
    refused(tmp_path / "other.npy", "FaceVerse")


def test_the_command_line_exits_with_2_and_one_line(
    small_model: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = format_files.write_flame_pickle(tmp_path, small_model).path
    target = tmp_path / "flame.npz"
    cli.main(["models", "convert", str(path), str(target)])
    assert "300 modes" in capsys.readouterr().out
    target.unlink()
    path.write_bytes(pickle.dumps({"v_template": Call(os.system, f"touch {tmp_path / 'trap'}")}, 2))
    for command in (["convert", str(path), str(target)], ["info", str(path)]):
        with pytest.raises(SystemExit) as stop:
            cli.main(["models", *command])
        assert stop.value.code == 2
        error = capsys.readouterr().err
        assert error.startswith(f"likeness: {path}: expected")
        assert error.count("\n") == 1
    assert {file.name for file in tmp_path.glob("[!.]*")} == {path.name}


def patched(path: Path, position: int, kind: str, value: int) -> None:
    data = bytearray(path.read_bytes())
    struct.pack_into(kind, data, position, value)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("position", "kind", "value", "match"),
    [
        (0, "<I", 0, "version"),
        (0, "<I", 99, "version"),
        (4, "<i", 2**31 - 1, "claims"),
        (4, "<i", -1, "size"),
        (8, "<i", 2**31 - 1, "claims"),
        (12 + 12 * 282, "<i", 2**31 - 1, "claims"),
    ],
)
def test_eos_with_absurd_counts(
    position: int, kind: str, value: int, match: str, small_model: FaceModel, tmp_path: Path
) -> None:
    path = format_files.write_eos(tmp_path, small_model, 1).path
    patched(path, position, kind, value)
    refused(path, match)


def test_eos_with_absurd_lists(small_model: FaceModel, tmp_path: Path) -> None:
    path = format_files.write_eos(tmp_path, small_model, 2, "blendshapes").path
    data = path.read_bytes()
    for found in (data.index(b"shape0") - 8, data.index(b"shape0") - 16):
        path.write_bytes(data)
        patched(path, found, "<Q", 2**63)
        refused(path, "claim")
    path.write_bytes(data + b"\0")
    refused(path, "after its end")
    shapes = tmp_path / "shapes.bin"
    shapes.write_bytes(struct.pack("<Q", 2**40))
    path.write_bytes(data)
    with pytest.raises(FileError, match=r"shapes\.bin"):
        load_model(path, blendshapes=shapes)


def test_an_npy_that_claims_a_terabyte(tmp_path: Path, small_model: FaceModel) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"shape": (10**12,), "fortran_order": False, "descr": "<f8"})
    (tmp_path / "large.npy").write_bytes(header.getvalue())
    refused(tmp_path / "large.npy")
    with zipfile.ZipFile(tmp_path / "large.npz", "w") as archive:
        archive.writestr("shapedirs.npy", header.getvalue())
        archive.writestr("v_template.npy", header.getvalue())
        archive.writestr("f.npy", header.getvalue())
    refused(tmp_path / "large.npz")


def test_a_zip_bomb(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("shapedirs.npy", "format.npy"):
            archive.writestr(name, bytes(50_000_000))
    refused(tmp_path / "bomb.npz", "claim")


def test_a_mat_bomb_and_absurd_dimensions(tmp_path: Path, small_model: FaceModel) -> None:
    from scipy.io import savemat

    path = tmp_path / "bomb.mat"
    savemat(path, {"shapeMU": np.zeros((9_000_000, 1))}, do_compression=True)
    refused(path, "grows|missing")
    path = format_files.write_bfm_2009(tmp_path, small_model, compressed=False).path
    data = path.read_bytes()
    for value in (-1, 2**31 - 1):
        path.write_bytes(data)
        patched(path, 128 + 8 + 16 + 8, "<i", value)  # after the header, the element, its flags, the dimensions' tag
        refused(path)
    path.write_bytes(data)
    patched(path, 128 + 4, "<I", 2**32 - 1)
    refused(path, "claims")


def test_hdf5_that_claims_too_much_or_leads_elsewhere(tmp_path: Path, small_model: FaceModel) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    good = format_files.write_bfm_h5(tmp_path, small_model, "good.h5").path
    other = format_files.write_bfm_h5(tmp_path, small_model, "other.h5").path
    data = good.read_bytes()
    raw = tmp_path / "raw.bin"
    raw.write_bytes(bytes(12 * 282))
    layout = h5py.VirtualLayout((846,), "<f4")
    layout[:] = h5py.VirtualSource(str(other), "shape/model/mean", (846,))
    changes = {
        "sparse": lambda file: file.create_dataset("shape/model/mean", (10**12,), "<f4", chunks=(1000,)),
        "link": lambda file: file.__setitem__("shape/model/mean", h5py.ExternalLink(str(other), "/shape/model/mean")),
        "loop": lambda file: file.__setitem__("shape/model/mean", h5py.SoftLink("/shape/model/mean")),
        "raw": lambda file: file.create_dataset(
            "shape/model/mean", (846,), "<f4", external=[(str(raw), 0, h5py.h5f.UNLIMITED)]
        ),
        "virtual": lambda file: file.create_virtual_dataset("shape/model/mean", layout),
        "text": lambda file: file.__setitem__("shape/model/mean", "text"),
        "object": lambda file: file.__setitem__("shape/model/mean", np.array(["a"] * 846, object)),
    }
    for change in changes.values():
        good.write_bytes(data)
        with h5py.File(good, "r+") as file:
            del file["shape/model/mean"]
            change(file)
        refused(good, "shape/model/mean")
    good.write_bytes(data)
    with h5py.File(good, "r+") as file:  # a link within the file is fine
        file.move("shape/model", "elsewhere")
        file["shape/model"] = h5py.SoftLink("/elsewhere")
    np.testing.assert_array_equal(load_model(good).identity_basis, load_model(other).identity_basis)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none(value: float, small_model: FaceModel, tmp_path: Path) -> None:
    path = tmp_path / "flame.npz"
    arrays, _ = format_files.flame_arrays(small_model)
    for key in ("v_template", "shapedirs"):
        damaged = arrays[key].copy()
        damaged.flat[5] = value
        np.savez(path, **{**arrays, key: damaged})
        refused(path, "finite")


def test_triangles_out_of_range(small_model: FaceModel, tmp_path: Path) -> None:
    arrays, _ = format_files.flame_arrays(small_model)
    for value in (len(small_model.mean), 2**32 - 1):
        triangles = arrays["f"].copy()
        triangles[3, 1] = value
        np.savez(tmp_path / "flame.npz", **{**arrays, "f": triangles})
        refused(tmp_path / "flame.npz", "triangles")


def test_companions_that_are_wrong(small_model: FaceModel, tmp_path: Path) -> None:
    path = format_files.write_flame_npz(tmp_path, small_model).path
    bad = tmp_path / "bad.txt"
    for text in ("", "1 2 3", "18 = x", "99 = 3", "nonsense", "[1, 2.5]", "-1 " * 68):
        bad.write_text(text)
        with pytest.raises(FileError, match=r"bad\.txt"):
            load_model(path, landmarks=bad)
    for text in ("{}", "[]", "[" * 100_000, '{"model_contour": {"right_contour": [1.5, 2], "left_contour": [1, 2]}}'):
        bad.write_text(text)
        with pytest.raises(FileError, match=r"bad\.txt"):
            load_model(path, contours=bad)


def test_ict_names_stay_in_their_folder(tmp_path: Path, small_model: FaceModel) -> None:
    from likeness.mesh import Mesh

    folder = tmp_path / "ict"
    folder.mkdir()
    for name in ("generic_neutral_mesh", "identity000"):
        Mesh(small_model.mean, small_model.topology.triangles).save(folder / f"{name}.obj")
    for text in ('{"expressions": ["../outside"]}', '{"expressions": 3}', "{", '{"expressions": ["jawOpen"]}'):
        (folder / "vertex_indices.json").write_text(text)
        with pytest.raises(FileError, match=r"vertex_indices|jawOpen"):
            load_model(folder)
    (folder / "vertex_indices.json").write_text('{"expressions": []}')
    assert load_model(folder).topology.landmarks is None
    Mesh(small_model.mean[:-1], small_model.topology.triangles[:5]).save(folder / "identity000.obj")
    with pytest.raises(FileError, match="282 vertices"):
        load_model(folder)
