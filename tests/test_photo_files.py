"""Every common file to the same upright pixels; every bad one to one line that names it."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from likeness.errors import FileError
from likeness.geometry.crop import OUTSIDE_GREY
from likeness.images import photo as photo_module
from likeness.images.header import read_header
from likeness.images.photo import photo_from_bytes
from likeness.reconstruct.proposals import MAX_PIXELS, MIN_SIDE, load_photo, photo_from_array

FORMATS = [".jpg", ".png", ".webp", ".tif", ".bmp"]
QUARTERS = {".jpg": 6, ".webp": 6}  # levels that lossy formats may be off by; the others are exact


def picture(height: int = 40, width: int = 60) -> np.ndarray:
    """(H, W, 3) RGB: red, green / blue, light grey quarters, so that every flip and channel swap shows."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (255, 0, 0)
    image[: height // 2, width // 2 :] = (0, 255, 0)
    image[height // 2 :, : width // 2] = (0, 0, 255)
    image[height // 2 :, width // 2 :] = (200, 200, 200)
    return image


def encoded(image: np.ndarray, suffix: str) -> bytes:
    """RGB, grey or RGBA pixels as a file's bytes, by OpenCV."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    options = [cv2.IMWRITE_JPEG_QUALITY, 98] if suffix == ".jpg" else []
    return cv2.imencode(suffix, image, options)[1].tobytes()


def pil_bytes(image: object, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)  # type: ignore[attr-defined]
    return stream.getvalue()


def load(folder: Path, data: bytes, name: str = "photo") -> np.ndarray:
    (folder / name).write_bytes(data)
    return load_photo(folder / name).image


def assert_same(got: np.ndarray, expected: np.ndarray, levels: int) -> None:
    """The same pixels within some levels, away from the quarters' edges, where lossy colour bleeds."""
    assert got.shape == expected.shape
    assert got.dtype == np.uint8
    h, w = got.shape[0] // 4, got.shape[1] // 4
    for y in (h, 3 * h):
        for x in (w, 3 * w):
            assert np.abs(got[y, x].astype(int) - expected[y, x]).max() <= levels


@pytest.mark.parametrize("suffix", FORMATS)
def test_formats_by_content_not_by_name(tmp_path: Path, suffix: str) -> None:
    got = load(tmp_path, encoded(picture(), suffix), name="Фото ü.dat")
    assert_same(got, picture(), QUARTERS.get(suffix, 0))
    assert got.flags.c_contiguous


@pytest.mark.parametrize("suffix", FORMATS)
def test_grey_becomes_rgb(tmp_path: Path, suffix: str) -> None:
    grey = cv2.cvtColor(picture(), cv2.COLOR_RGB2GRAY)
    assert_same(load(tmp_path, encoded(grey, suffix)), np.repeat(grey[..., None], 3, axis=2), QUARTERS.get(suffix, 0))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_are_scaled(tmp_path: Path, suffix: str) -> None:
    deep = picture().astype(np.uint16) * 257
    np.testing.assert_array_equal(load(tmp_path, encoded(deep, suffix)), picture())
    np.testing.assert_array_equal(load(tmp_path, encoded(deep[..., 0], suffix))[..., 0], picture()[..., 0])


@pytest.mark.parametrize(("dtype", "full"), [(np.uint8, 255), (np.uint16, 65535)])
def test_transparent_parts_are_grey(tmp_path: Path, dtype: type, full: int) -> None:
    rgba: np.ndarray = np.zeros((40, 60, 4), dtype)
    rgba[..., :3], rgba[:20, :, 3], rgba[20:30, :, 3] = full, full, full // 2
    got = load(tmp_path, encoded(rgba, ".png"))
    assert (got[:20] == 255).all()
    assert (np.abs(got[20:30].astype(int) - (255 + OUTSIDE_GREY) / 2) <= 1).all()
    assert (got[30:] == OUTSIDE_GREY).all()


def test_what_is_transparent_all_over_is_taken_for_opaque() -> None:
    """As screens and renderers are saved that leave the fourth channel empty."""
    rgba = np.dstack([picture(), np.zeros(picture().shape[:2], np.uint8)])
    photo = photo_from_bytes(encoded(rgba, ".png"))
    np.testing.assert_array_equal(photo.image, picture())
    assert photo.note == "its opacity is 0 everywhere, and does not count"


def bmp(rows: np.ndarray, masks: tuple[int, ...], header: int) -> bytes:
    """32 bits a pixel, colours where masks say; a header of so many bytes, without them in one of 40."""
    height, width = rows.shape[:2]
    fields = struct.pack("<iiHHIIiiII", width, height, 1, 32, 3, rows.nbytes, 2835, 2835, 0, 0)
    told = (fields + struct.pack(f"<{len(masks)}I", *masks)).ljust(header - 4, b"\0")
    start = 18 + len(told)
    return b"BM" + struct.pack("<IHHII", start + rows.nbytes, 0, 0, start, header) + told + rows[::-1].tobytes()


@pytest.mark.parametrize("header", [40, 52, 56, 108, 124])
@pytest.mark.parametrize("order", ["bgrx", "rgbx", "xrgb", "rgba"])
def test_colours_of_a_bmp_are_where_its_masks_say(order: str, header: int) -> None:
    fourth = np.full((*picture().shape[:2], 1), 128 if order == "rgba" else 77, np.uint8)
    channels = dict(zip("rgb", np.split(picture(), 3, axis=2), strict=True)) | {"a": fourth, "x": fourth}
    rows = np.concatenate([channels[one] for one in order], axis=2)
    masks = tuple(0xFF << 8 * order.index(one) for one in "rgb")
    opaque = order != "rgba" or header < 56  # there is no mask of opacity before
    if not opaque:
        masks = (*masks, 0xFF << 24)
    got = photo_from_bytes(bmp(rows, masks, header)).image
    right = picture() if opaque else (picture() * (128 / 255) + OUTSIDE_GREY * (127 / 255))
    assert np.abs(got - right).max() <= (0 if opaque else 1)


@pytest.mark.parametrize(("kind", "opaque"), [("UNSPECIFIED", True), ("UNASSALPHA", False)])
def test_a_fourth_channel_of_a_tiff_that_is_no_opacity_does_not_count(kind: str, opaque: bool) -> None:
    tifffile = pytest.importorskip("tifffile")
    fourth = np.full((*picture().shape[:2], 1), 77, np.uint8)
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.concatenate([picture(), fourth], axis=2), photometric="rgb", extrasamples=[kind])
    got = photo_from_bytes(stream.getvalue()).image
    assert np.array_equal(got, picture()) == opaque


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, kind: str, orientation: int) -> None:
    image_module = pytest.importorskip("PIL.Image")
    ops = pytest.importorskip("PIL.ImageOps")
    exif = image_module.Exif()
    exif[0x0112] = orientation
    data = pil_bytes(image_module.fromarray(picture()), kind, exif=exif)
    upright = np.asarray(ops.exif_transpose(image_module.open(io.BytesIO(data))).convert("RGB"))
    assert_same(load(tmp_path, data), upright, 8)


def test_16_bit_tiff_orientation(tmp_path: Path) -> None:
    """OpenCV turns some TIFFs and not others: the orientation must count once in both."""
    data = bytearray(encoded(picture().astype(np.uint16) * 257, ".tif"))
    plain = load(tmp_path, bytes(data))
    position = read_header(bytes(data)).tags  # OpenCV writes no orientation: put one in place of another SHORT tag
    assert 0x0112 not in position
    order = "<" if data[:2] == b"II" else ">"
    folder = struct.unpack_from(order + "I", data, 4)[0]
    entries = [folder + 2 + 12 * k for k in range(struct.unpack_from(order + "H", data, folder)[0])]
    spare = next(at for at in entries if struct.unpack_from(order + "H", data, at)[0] in (0x011C, 0x0128, 0x0129))
    struct.pack_into(order + "HHIHH", data, spare, 0x0112, 3, 1, 3, 0)
    np.testing.assert_array_equal(load(tmp_path, bytes(data)), plain[::-1, ::-1])


@pytest.mark.parametrize("mode", ["CMYK", "P", "1", "L", "LA", "RGBA"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF"])
def test_pixel_modes(tmp_path: Path, mode: str, kind: str) -> None:
    image_module = pytest.importorskip("PIL.Image")
    image = image_module.fromarray(picture()).convert(mode)
    try:
        data = pil_bytes(image, kind)
    except (OSError, ValueError):
        pytest.skip(f"PIL writes no {mode} {kind}")
    assert_same(load(tmp_path, data), np.asarray(image.convert("RGB")), 8)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_many(tmp_path: Path, kind: str) -> None:
    image_module = pytest.importorskip("PIL.Image")
    first, second = (image_module.fromarray(pixels) for pixels in (picture(), 255 - picture()))
    options = {"lossless": True} if kind == "WEBP" else {}
    data = pil_bytes(first, kind, save_all=True, append_images=[second], **options)
    assert_same(load(tmp_path, data), picture(), 0)


def exif_jpeg(tags: dict[int, int | float], width: int = 600, height: int = 400) -> bytes:
    image_module = pytest.importorskip("PIL.Image")
    exif = image_module.Exif()
    rational = pytest.importorskip("PIL.TiffImagePlugin").IFDRational
    tags = {
        tag: rational(round(value * 10), 10) if isinstance(value, float) else value for tag, value in tags.items()
    }
    exif.get_ifd(0x8769).update(tags)
    return pil_bytes(image_module.fromarray(picture(height, width)), "JPEG", exif=exif)


@pytest.mark.parametrize(
    ("tags", "focal"),
    [
        ({0xA405: 50}, 50 * np.hypot(600, 400) / np.hypot(36, 24)),
        # 20 mm at 100 pixels per mm, on an image half as large as EXIF's own size
        ({0x920A: 20.0, 0xA20E: 2540.0, 0xA210: 2, 0xA002: 1200, 0xA003: 800}, 1000.0),
        ({0x920A: 20.0, 0xA20E: 1000.0, 0xA210: 3}, 2000.0),
        ({0x920A: 20.0}, None),
        ({0xA405: 0}, None),
        ({0xA405: 50, 0xA002: 1200, 0xA003: 1200}, None),  # cropped
        ({0xA405: 50, 0xA002: 800, 0xA003: 1200}, 50 * np.hypot(600, 400) / np.hypot(36, 24)),  # turned
        ({0xA405: 1}, None),  # no lens
        ({}, None),
    ],
)
def test_focal_length(tmp_path: Path, tags: dict[int, int | float], focal: float | None) -> None:
    (tmp_path / "a.jpg").write_bytes(exif_jpeg(tags))
    got = load_photo(tmp_path / "a.jpg").focal
    assert got == (None if focal is None else pytest.approx(focal, rel=1e-4))


def test_garbage_in_exif_is_no_error(tmp_path: Path) -> None:
    data = bytearray(exif_jpeg({0xA405: 50, 0x920A: 20.0, 0xA20E: 2540.0}))
    start = data.index(b"Exif\0\0") + 6
    rng = np.random.default_rng(0)
    for _ in range(200):
        broken = bytearray(data)
        for at in rng.integers(0, 80, 4):
            broken[start + at] = rng.integers(256)
        assert load(tmp_path, bytes(broken)).size == 400 * 600 * 3


@pytest.mark.parametrize("suffix", FORMATS)
def test_cut_short(tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(noise, suffix)
    parts = (len(data) - 3, len(data) * 9 // 10, len(data) * 2 // 5, 100, 30, 12, 4)
    for part in parts[2:] if suffix == ".jpg" else parts:  # of a JPEG what is there is used
        with pytest.raises(FileError, match="photo") as error:
            load(tmp_path, data[:part])
        assert "expected" in str(error.value) or "damaged" in str(error.value)
        assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("suffix", FORMATS)
def test_noise_in_a_file_never_crashes(tmp_path: Path, suffix: str) -> None:
    """Random damage: either pixels of the size that the header says, or a FileError."""
    data = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8), suffix)
    rng = np.random.default_rng(1)
    for _ in range(60):
        broken = bytearray(data)
        for at in rng.integers(0, min(len(data), 400), 3):
            broken[at] = rng.integers(256)
        try:
            image = load(tmp_path, bytes(broken))
        except FileError as error:
            outcome = str(error).count("\n")
        else:
            outcome = image.ndim - 3
        assert outcome == 0


def test_damaged_jpeg_data_is_not_shown_as_grey(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = bytearray(encoded(noise, ".jpg"))
    data[len(data) // 2 : len(data) // 2 + 2] = b"\xff\x42"
    with pytest.raises(FileError, match="damaged"):
        load(tmp_path, bytes(data))


def test_damaged_png_checksum(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(encoded(picture(), ".png"))
    data[data.index(b"IDAT") + 8] ^= 0xFF
    with pytest.raises(FileError, match="checksum"):
        load(tmp_path, bytes(data))
    assert capfd.readouterr().err == ""


def test_broken_colour_profile_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image_module = pytest.importorskip("PIL.Image")
    data = pil_bytes(image_module.fromarray(picture()), "PNG", icc_profile=b"garbage" * 20)
    assert_same(load(tmp_path, data), picture(), 0)
    assert capfd.readouterr().err == ""


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def huge(kind: str) -> bytes:
    """The header of a 20,000 × 20,000 image, with next to no pixels behind it."""
    side = 20_000
    if kind == "png":
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        rows = zlib.compress(bytes(side * (side * 3 + 1) // 1000))
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    data = bytearray(encoded(picture(), "." + kind))
    if kind == "jpg":
        at = data.index(b"\xff\xc0")
        struct.pack_into(">HH", data, at + 5, side, side)
    elif kind == "bmp":
        struct.pack_into("<ii", data, 18, side, side)
        struct.pack_into("<I", data, 30, 1)  # run-length encoded: the size of the file says nothing
    return bytes(data)


@pytest.mark.parametrize("kind", ["png", "jpg", "bmp"])
def test_too_many_pixels_are_not_decoded(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    limit = 250 if kind == "jpg" else 100
    with pytest.raises(FileError, match=rf"20000 x 20000 .*400 megapixels.*at most {limit}"):
        load(tmp_path, huge(kind))


def test_a_jpeg_of_too_many_pixels_is_taken_at_half_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = exif_jpeg({0xA405: 50})
    whole = photo_from_bytes(data)
    width, height = whole.size
    monkeypatch.setattr(photo_module, "MAX_PIXELS", width * height - 1)
    monkeypatch.setattr(photo_module, "MAX_HALVED", width * height)
    half = photo_from_bytes(data, smallest=1)
    assert half.size == (width // 2, height // 2)
    assert f"half its size, as are coordinates ({width // 2} x {height // 2})" in half.note
    smaller = cv2.resize(whole.image, half.size, interpolation=cv2.INTER_AREA)
    assert np.abs(half.image.astype(int) - smaller).mean() < 4 < np.abs(half.image.astype(int) - 128).mean()
    assert whole.focal is not None
    assert half.focal == pytest.approx(0.5 * whole.focal)
    with pytest.raises(FileError, match="expected at most"):  # others are decoded whole
        load(tmp_path, encoded(picture(height, width), ".png"))


def test_size_limits_for_arrays() -> None:
    assert photo_from_array(np.zeros((MIN_SIDE, 100, 3), np.uint8)).size == (100, MIN_SIDE)
    with pytest.raises(ValueError, match="at least 24"):
        photo_from_array(np.zeros((MIN_SIDE - 1, 100, 3), np.uint8))
    strip = np.broadcast_to(np.zeros(3, np.uint8), (10_001, MAX_PIXELS // 10_000, 3))
    with pytest.raises(ValueError, match="at most 100"):
        photo_from_array(strip)


@pytest.mark.parametrize("image", [np.zeros((50, 50)), np.zeros((50, 50, 4), np.uint8), np.zeros((50, 50, 3)), [[0]]])
def test_other_arrays_are_refused(image: object) -> None:
    with pytest.raises(ValueError, match="uint8"):
        photo_from_array(image)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"this is a text, not a photo\n", "no image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "header"),
        (b"\xff\xd8\xff", "JPEG"),
        (b"BMW is a car", "no image"),
        (b"\x89PNG\r\n\x1a\n", "PNG|header"),
        (encoded(picture(10, 10), ".png"), "10 x 10 pixels; expected at least 24"),
        (encoded(picture()[..., 0].astype(np.int16), ".tif"), "int16"),
    ],
)
def test_no_photo(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(FileError, match=message) as error:
        load(tmp_path, data, "a.jpg")
    assert str(error.value).startswith(str(tmp_path / "a.jpg"))
    assert "\n" not in str(error.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist"):
        load_photo(tmp_path / "none.jpg")
    with pytest.raises(FileError, match="folder"):
        load_photo(tmp_path)
    with pytest.raises(FileError, match="cannot be read"):
        load_photo("a\0b.jpg")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(picture(), ".jpg"))
    (tmp_path / "a.jpg").chmod(0)
    with pytest.raises(FileError, match="cannot be read"):
        load_photo(tmp_path / "a.jpg")


def test_bytes_after_the_end_are_no_damage(tmp_path: Path) -> None:
    """Phones append videos and depth maps to their JPEGs."""
    for suffix in (".jpg", ".png"):
        assert_same(load(tmp_path, encoded(picture(), suffix) + b"\0\xff\x00 more" * 9), picture(), 6)
