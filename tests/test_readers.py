"""The bounded readers: what is true is read, what a header merely claims is not believed."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness.errors import FileError
from likeness.files import npz_bytes
from likeness.readers import MAX_DEPTH, NpzArrays, map_npy, read_json, read_npy, read_npz, read_table, reading_npz

ENOUGH = 10_000_000  # bytes: what a refusal may take


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def claiming(shape: str) -> bytes:
    """An ``.npy`` of three floats whose header claims another shape, of as many letters."""
    data = npy(np.arange(3.0))
    at = data.index(b"(3,)")
    return data[:at] + shape.encode() + data[at + len(shape) :]


def refused(read: Callable[[], Any], match: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match=match) as caught:
            read()
        assert tracemalloc.get_traced_memory()[1] < ENOUGH
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["f2", ">f4", "i8", "u1", "?", "U3", "S2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_back_as_they_were(tmp_path: Path, kind: str, order: Any) -> None:
    array = np.array(np.arange(6).reshape(2, 3) % 2, kind, order=order)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", one=array, none=array[:0])
    found = read_npz(tmp_path / "a.npz", "arrays")
    for got in (read_npy(tmp_path / "a.npy", "an array"), map_npy(tmp_path / "a.npy", "an array"), found["one"]):
        np.testing.assert_array_equal(got, array)
        assert got.dtype == array.dtype
    assert found["none"].shape == (0, 3)
    assert found["one"].flags.writeable


@pytest.mark.parametrize("shape", ["(9999999999999,)", "(2**9,)", "(-3,)", "(1e9,)", "(" * 150, "3" * 90 + ","])
def test_shapes_that_are_claimed_only(tmp_path: Path, shape: str) -> None:
    (tmp_path / "a.npy").write_bytes(claiming(shape))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.npy", claiming(shape))
    (tmp_path / "a.npz").write_bytes(stream.getvalue())
    refused(lambda: read_npy(tmp_path / "a.npy", "an array"), "expected an array")
    refused(lambda: map_npy(tmp_path / "a.npy", "an array"), "expected an array")
    refused(lambda: read_npz(tmp_path / "a.npz", "arrays"), "expected an array 'a'")


def test_bombs_are_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy(np.zeros(10_000_000)))
    refused(lambda: read_npz(tmp_path / "a.npz", "arrays"), "got a claim of 80000128 bytes in")


def test_what_cannot_be_made_of_arrays_says_what_was_expected(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", one=np.zeros((2, 3)), word=np.array("six"))
    with reading_npz(tmp_path / "a.npz", "a thing") as arrays:
        assert arrays["one"].shape == (2, 3)

    def made(make: Callable[[dict[str, np.ndarray]], Any]) -> None:
        with reading_npz(tmp_path / "a.npz", "a thing") as found:
            make(found)

    refused(lambda: made(lambda found: found["two"]), r"a\.npz: expected a thing, but two is missing")
    refused(lambda: made(lambda found: found["one"].reshape(5)), "expected a thing: cannot reshape")
    refused(lambda: made(lambda found: float(found["word"])), "expected a thing: could not convert")
    refused(lambda: made(lambda found: len(found["word"])), "expected a thing: len")
    with pytest.raises(ZeroDivisionError):  # a mistake of the program, not of the file
        made(lambda found: 1 // 0)


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path: Path, kind: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", kind) as archive:
        archive.writestr("a.npy", npy(np.zeros(3)))
    refused(lambda: NpzArrays(tmp_path / "a.npz", "arrays"), "stored or deflated")


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    refused(lambda: read_npy(tmp_path / "a.npy", "an array"), "expected an array")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "[" * 500 + "]" * 500,
        '{"a":' * 70 + "1" + "}" * 70,
        "{",
        "\xff",
        "",
        '"' + '\\"' * 50_000,
        "nul",
    ],
)
def test_json_that_is_none_or_too_deep(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_bytes(text.encode("latin1"))
    refused(lambda: read_json(tmp_path / "a.json", "a result"), "expected")


def test_json_numbers_are_floats_at_worst(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(f"[1, -7, {10**17}, {10**30}, {'9' * 5000}, -{'9' * 5000}, 1e400]")
    found = read_json(tmp_path / "a.json", "numbers")
    assert found == [1, -7, 10**17, 1e30, np.inf, -np.inf, np.inf]
    assert [type(number) for number in found[:4]] == [int, int, int, float]
    np.array(found, np.float32)


def test_json_may_be_as_deep_as_arrays_and_hold_brackets_in_text() -> None:
    deep = "[" * MAX_DEPTH + '"]]\\"[[[["' + "]" * MAX_DEPTH
    assert str(read_json("a.json", "lists", deep.encode())).count("[") == MAX_DEPTH + 4
    refused(lambda: read_json("a.json", "lists", b"[" + deep.encode() + b"]"), "nested more than 64 deep")
    refused(lambda: read_json("a.json", "lists", b"[1, 2]", largest=5), "over 5 bytes")


def test_tables(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b'\xef\xbb\xbffile, identity\r\n"a, b",  anna\r\n\r\nc,berta\r\n')
    assert read_table(path, ("file", "identity")) == [
        {"file": "a, b", "identity": "anna"},
        {"file": "c", "identity": "berta"},
    ]
    for data, match in (
        (b"file\na\n", "identity missing"),
        (b"file,identity\n", "no rows"),
        (b"file,identity\na\n", "row 2: expected 2 values, got 1"),
        (b"file,identity\na,b,c\n", "row 2: expected 2 values, got 3"),
        (b"file,identity\n\xff,b\n", "as text"),
        (b"file,identity\n" + b"a" * 200_000 + b",b\n", "as text"),
        (b"", "empty"),
    ):
        path.write_bytes(data)
        refused(lambda: read_table(path, ("file", "identity")), match)


@pytest.mark.parametrize("compressed", [True, False])
def test_archives_are_written_as_they_are_read(tmp_path: Path, compressed: bool) -> None:
    """Also by versions of NumPy whose savez takes an option that it does not know for one more array."""
    arrays = {"codes": np.arange(6.0).reshape(2, 3), "names": np.array(["a", "bc"]), "none": np.zeros((0, 3))}
    (tmp_path / "a.npz").write_bytes(npz_bytes(arrays, compressed=compressed))
    found = read_npz(tmp_path / "a.npz", "arrays")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
    with pytest.raises(ValueError, match="names of numbers or text"):
        npz_bytes({**arrays, "names": np.array([{}], object)})
