"""`.bin` sets: read whatever wrote them, and never run what is inside."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness import FileError
from likeness.datasets import bin_sets as module
from likeness.datasets.test_sets import open_photos
from likeness.metrics import read_bin


def picture(number: int) -> bytes:
    pixels = np.full((32, 28, 3), 40 + 10 * number, np.uint8)
    pixels[:, :, 2] = 200  # OpenCV's red
    return cv2.imencode(".png", pixels)[1].tobytes()


IMAGES = [picture(number) for number in range(6)]
SAME = [True, False, True]


def written(folder: Path, value: Any, protocol: int = 4) -> Path:
    path = folder / "lfw.bin"
    path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value",
    [
        (IMAGES, SAME),
        [tuple(IMAGES), tuple(SAME)],
        (IMAGES, np.array(SAME)),
        (IMAGES, [np.bool_(same) for same in SAME]),
        (IMAGES, np.array(SAME, np.int64)),
        ([np.frombuffer(image, np.uint8).copy() for image in IMAGES], SAME),
    ],
    ids=["lists", "tuples", "array of bool", "numpy bools", "array of int", "arrays of bytes"],
)
def test_every_way_of_writing_them_is_read(tmp_path: Path, value: Any, protocol: int) -> None:
    found = read_bin(written(tmp_path, value, protocol))
    assert found.images == tuple(IMAGES)
    assert found.pairs.same.tolist() == SAME
    assert (found.pairs.first, found.pairs.second) == (("000000", "000002", "000004"), ("000001", "000003", "000005"))


def test_python_2_files_are_read(tmp_path: Path) -> None:
    """Protocol 2 as Python 2 wrote it: byte strings are BINSTRINGs."""
    images = b"".join(b"T" + struct.pack("<i", len(image)) + image for image in IMAGES)
    data = b"\x80\x02](" + images + b"e](\x88\x89\x88e\x86q\x01."
    assert read_bin(written(tmp_path, data)).images == tuple(IMAGES)


def test_images_are_rgb(tmp_path: Path) -> None:
    image = open_photos(written(tmp_path, (IMAGES, SAME))).items[1].image()
    assert (image.shape, image.dtype) == ((32, 28, 3), np.uint8)
    assert image[0, 0].tolist() == [200, 50, 50]


def test_damaged_images_are_named(tmp_path: Path) -> None:
    found = open_photos(written(tmp_path, ([b"no image", IMAGES[0][:60]], [True])))
    for number in (0, 1):
        with pytest.raises(FileError, match=f"00000{number}"):
            found.items[number].image()


class Hostile:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return (os.system, (f"touch {self.target}",))


@pytest.mark.parametrize("protocol", range(6))
def test_a_hostile_pickle_is_not_run(tmp_path: Path, protocol: int) -> None:
    trace = tmp_path / "trace"
    with pytest.raises(FileError, match="refused"):
        read_bin(written(tmp_path, (IMAGES, [Hostile(trace)]), protocol))
    assert not trace.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n(S'touch trace'\ntR.",
        b"(S'touch trace'\nios\nsystem\n.",
        b"cnumpy\nndarray\n(S'touch trace'\ntR.",
        b"c__builtin__\nbytes\n(I100000000000\ntR.",
        b"c__builtin__\neval\n(S'1'\ntR.",
        b"\x80\x02cnumpy\nndarray\n)\x81.",
        b"(lp0\ng0\na}b.",
        b"P0\n.",
        b"I1\n(I2\nR.",
        b"0.",
        b"e.",
        b"a.",
        b"g7\n.",
        b"\x80\x04\x94.",
        b"",
        b".",
        b"\x8e" + b"\xff" * 7 + b"\x7f" + b"x.",
        b"\x96" + b"\xff" * 7 + b"\x7f" + b"x.",
        b"r\xff\xff\xff\xff.",
    ],
)
def test_strange_pickles_are_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(FileError, match="expected a verification set"):
        read_bin(written(tmp_path, data))


@pytest.mark.parametrize(
    "value",
    [
        IMAGES,
        (IMAGES, SAME, SAME),
        (IMAGES[:5], SAME),
        ([], []),
        (IMAGES, ["yes"] * 3),
        (IMAGES, [2, 0, 1]),
        ([*IMAGES[:5], 7], SAME),
        ([*IMAGES[:5], b""], SAME),
        ([np.zeros(3, np.float32)] * 6, SAME),
        ([np.array([b"x"], object)] * 6, SAME),
        {"images": IMAGES},
    ],
)
def test_other_contents_are_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(FileError, match="expected a verification set"):
        read_bin(written(tmp_path, value))


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=60, deadline=None)
def test_cut_and_damaged_files_are_file_errors_or_read(
    tmp_path_factory: pytest.TempPathFactory, at: int, cut: bool
) -> None:
    data = bytearray(pickle.dumps(([image[:20] for image in IMAGES], np.array(SAME)), protocol=4))
    at %= len(data)
    damaged = bytes(data[:at]) if cut else bytes(data[:at]) + bytes([data[at] ^ 0x5A]) + bytes(data[at + 1 :])
    path = written(tmp_path_factory.mktemp("bin"), damaged)
    try:
        found = read_bin(path)
    except FileError:
        return
    assert not cut
    assert len(found.images) == 6


def test_a_string_cannot_be_copied_forever(tmp_path: Path) -> None:
    """A file of kilobytes that would ask for gigabytes."""
    head = (
        b"c_codecs\nencode\np0\n0(X" + struct.pack("<I", 50_000) + b"x" * 50_000 + b"X\x06\x00\x00\x00latin1tp1\n0("
    )
    with pytest.raises(FileError, match="more bytes than the file holds"):
        read_bin(written(tmp_path, head + b"g0\ng1\nR" * 20_000 + b"l(" + b"I01\n" * 10_000 + b"l\x86."))


def test_large_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, (IMAGES, SAME))
    monkeypatch.setattr(module, "MAX_BYTES", 10)
    with pytest.raises(FileError, match="is over"):
        read_bin(path)
    with pytest.raises(FileError, match="no such file"):
        read_bin(tmp_path / "none.bin")
