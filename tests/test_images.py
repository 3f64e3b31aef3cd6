"""One way into pictures and one way out: whatever a photo lies in, it decodes alike."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from likeness.datasets.image_store import ImageStore, Places
from likeness.datasets.test_sets import open_photos
from likeness.images.encode import jpeg_bytes, png_bytes
from likeness.images.photo import load_photo, photo_from_bytes
from likeness.images.texture import decode_texture


def picture(seed: int = 0, shape: tuple[int, int] = (40, 32)) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (5, 4, 3), np.uint8)
    return cv2.resize(small, shape[::-1], interpolation=cv2.INTER_CUBIC)


def encoded(pixels: np.ndarray, suffix: str = ".png") -> bytes:
    return bytes(cv2.imencode(suffix, pixels)[1].tobytes())


def transparent() -> bytes:
    """A PNG whose left half is hidden: blue under it, in 8 bits."""
    pixels = np.zeros((40, 32, 4), np.uint8)
    pixels[..., 0], pixels[:, 16:, 2], pixels[:, 16:, 3] = 255, 200, 255
    return encoded(pixels)


def turned() -> bytes:
    """A JPEG whose EXIF says that it lies on its side (orientation 6)."""
    tiff = b"II*\0\x08\0\0\0\x01\0" + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + b"\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    data = jpeg_bytes(picture(1), 95)
    return data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]


PICTURES = {
    "transparent.png": transparent,
    "turned.jpg": turned,
    "deep.png": lambda: encoded(picture(2).astype(np.uint16) * 257),
    "grey.png": lambda: encoded(picture(3)[..., 0]),
    "plain.jpg": lambda: jpeg_bytes(picture(4), 90),
}


def from_folder(path: Path, name: str, data: bytes) -> np.ndarray:
    (path / "p").mkdir()
    (path / "p" / name).write_bytes(data)
    return open_photos(path).items[0].image()


def from_tar(path: Path, name: str, data: bytes) -> np.ndarray:
    with tarfile.open(path / "set.tar", "w") as archive:
        info = tarfile.TarInfo(f"p/{name}")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return open_photos(path / "set.tar").items[0].image()


def from_bin(path: Path, name: str, data: bytes) -> np.ndarray:
    (path / "set.bin").write_bytes(pickle.dumps(([data, data], [True])))
    return open_photos(path / "set.bin").items[0].image()


def from_store(path: Path, name: str, data: bytes) -> np.ndarray:
    (path / name).write_bytes(data)
    return ImageStore(Places.of_files(path, [name]))[0]


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("read", [from_folder, from_tar, from_bin, from_store])
def test_a_photo_decodes_alike_wherever_it_lies(
    read: Callable[[Path, str, bytes], np.ndarray], name: str, tmp_path: Path
) -> None:
    data = PICTURES[name]()
    (tmp_path / "file").write_bytes(data)
    expected = load_photo(tmp_path / "file").image
    np.testing.assert_array_equal(photo_from_bytes(data).image, expected)
    (tmp_path / "data").mkdir()
    np.testing.assert_array_equal(read(tmp_path / "data", name, data), expected)


def test_hidden_parts_are_grey_and_in_textures_keep_their_colour() -> None:
    image = photo_from_bytes(transparent()).image
    assert image[0, 0].tolist() == [128, 128, 128]
    assert image[0, -1].tolist() == [200, 0, 255]
    assert decode_texture("a.png", transparent())[0, 0].tolist() == [0, 0, 255]


def test_a_texture_is_not_turned() -> None:
    assert decode_texture("a.jpg", turned()).shape == (40, 32, 3)
    assert photo_from_bytes(turned()).image.shape == (32, 40, 3)


def test_png_keeps_every_pixel_and_jpeg_nearly() -> None:
    pixels = picture(5)
    np.testing.assert_array_equal(photo_from_bytes(png_bytes(pixels)).image, pixels)
    near = photo_from_bytes(jpeg_bytes(pixels, 95)).image
    assert np.abs(near.astype(int) - pixels).mean() < 4
    with pytest.raises(ValueError, match=r"fits into a \.jpg"):
        jpeg_bytes(np.zeros((1, 70000, 3), np.uint8), 95)
