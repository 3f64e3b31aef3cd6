"""The kinds of photos that phones, cameras and converters make, beyond those of ``test_photo_files``."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_photo_files import assert_same, encoded, picture

from likeness.geometry.crop import OUTSIDE_GREY
from likeness.images.boxes import without_boxes
from likeness.images.header import read_header
from likeness.images.photo import photo_from_bytes, photo_from_pillow

FOCAL = 50 * np.hypot(60, 40) / np.hypot(36, 24)


def exif_of(orientation: int) -> bytes:
    exif = pytest.importorskip("PIL.Image").Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0xA405] = 50
    return bytes(exif.tobytes())


def by_pillow(kind: str, plugin: str = "", **options: object) -> bytes:
    """``picture()`` as a file that Pillow, with a plugin, writes."""
    image_module = pytest.importorskip("PIL.Image")
    image_module.init()
    if plugin:
        library = pytest.importorskip(plugin)
        if plugin == "pillow_heif":
            library.register_heif_opener()
    if kind not in image_module.SAVE:
        pytest.skip(f"this Pillow writes no {kind}")
    stream = io.BytesIO()
    image_module.fromarray(picture()).save(stream, kind, quality=95, **options)
    return stream.getvalue()


def upright(orientation: int) -> np.ndarray:
    """``picture()`` as it is shown with an orientation, by Pillow."""
    image_module, ops = pytest.importorskip("PIL.Image"), pytest.importorskip("PIL.ImageOps")
    image = image_module.open(io.BytesIO(by_pillow("TIFF", exif=exif_of(orientation))))
    return np.asarray(ops.exif_transpose(image).convert("RGB"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("kind", "plugin"), [("AVIF", ""), ("HEIF", "pillow_heif")])
def test_heif_is_turned_as_its_boxes_say(kind: str, plugin: str, orientation: int) -> None:
    photo = photo_from_bytes(by_pillow(kind, plugin, exif=exif_of(orientation)))
    assert_same(photo.image, upright(orientation), 8)
    assert photo.focal == pytest.approx(FOCAL, rel=1e-4)


def test_ten_bits_are_scaled() -> None:
    if "AVIF" not in cv2.getBuildInformation():
        pytest.skip("this OpenCV writes no AVIF")
    deep = np.rint(picture() * (1023 / 255)).astype(np.uint16)
    data = cv2.imencode(".avif", deep[..., ::-1], [cv2.IMWRITE_AVIF_DEPTH, 10, cv2.IMWRITE_AVIF_QUALITY, 95])[1]
    assert_same(photo_from_bytes(data.tobytes()).image, picture(), 8)


@pytest.mark.parametrize("options", [{}, {"lossless": True}])
def test_jpeg_xl(options: dict[str, object]) -> None:
    data = by_pillow("JXL", "pillow_jxl", exif=exif_of(6), **options)
    photo = photo_from_bytes(data)
    assert_same(photo.image, picture(), 8)  # its own orientation counts, which is upright
    assert photo.focal == pytest.approx(FOCAL, rel=1e-4)


@pytest.mark.parametrize("is_whole", [True, False])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_xl_that_was_a_jpeg_is_upright(tmp_path: Path, orientation: int, is_whole: bool) -> None:
    """Its codestream has the JPEG's orientation, its EXIF is compressed; without the recipe libjxl turns it."""
    image = jpeg_xl_of_jpeg(tmp_path, exif_of(orientation))
    assert b"brobExif" in image
    photo = photo_from_bytes(image if is_whole else without_boxes(image, b"jbrd"))
    assert_same(photo.image, upright(orientation), 8)
    assert photo.focal == pytest.approx(FOCAL, rel=1e-4)
    assert photo.image.shape[1::-1] == read_header(image).size


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_jpeg_xl_that_pillow_has_opened(tmp_path: Path, orientation: int) -> None:
    image_module = pytest.importorskip("PIL.Image")
    image = jpeg_xl_of_jpeg(tmp_path, exif_of(orientation))
    for data in (image, without_boxes(image, b"jbrd")):
        photo = photo_from_pillow(image_module.open(io.BytesIO(data)))
        assert_same(photo.image, upright(orientation), 8)


def jpeg_xl_of_jpeg(folder: Path, exif: bytes) -> bytes:
    """``picture()`` as a JPEG, and that as a JPEG XL from which the JPEG could be made again."""
    path, stream = folder / "photo.jpg", io.BytesIO()
    path.write_bytes(by_pillow("JPEG", "pillow_jxl", exif=exif))
    with pytest.importorskip("PIL.Image").open(path) as jpeg:
        jpeg.save(stream, "JXL", lossless_jpeg=True)
    return stream.getvalue()


def brob_of(content: bytes) -> bytes:
    """``picture()`` as a JPEG XL with such an EXIF box, compressed."""
    data = by_pillow("JXL", "pillow_jxl", exif=exif_of(6), use_container=True)
    data = without_boxes(without_boxes(data, b"Exif"), b"brob")  # earlier versions of the encoder compress it
    packed = b"brobExif" + content
    return data + struct.pack(">I", 4 + len(packed)) + packed


def test_compressed_exif_that_is_damaged_or_a_bomb_is_left_out() -> None:
    brotli = pytest.importorskip("brotli")
    good = brotli.compress(b"\0\0\0\0" + exif_of(6).removeprefix(b"Exif\0\0"))
    assert photo_from_bytes(brob_of(good)).focal == pytest.approx(FOCAL, rel=1e-4)
    for bad in (good[:-4], b"", b"\xff" * 40, brotli.compress(b"II*\0" + bytes(1 << 22))):
        assert photo_from_bytes(brob_of(bad)).focal is None


def test_compressed_exif_that_nothing_reads_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    data = brob_of(pytest.importorskip("brotli").compress(exif_of(6)))
    monkeypatch.setitem(sys.modules, "brotli", None)
    photo = photo_from_bytes(data)
    assert_same(photo.image, picture(), 8)
    assert photo.focal is None
    assert "focal length is not known" in photo.note
    assert "pip install 'likeness3d[jxl]'" in photo.note


@pytest.mark.parametrize("size", [(24, 300), (256, 512), (37, 91), (50, 50), (64, 4000), (1, 1)])
def test_the_size_of_a_jpeg_xl_is_known_before_it_is_decoded(size: tuple[int, int]) -> None:
    image_module = pytest.importorskip("PIL.Image")
    pytest.importorskip("pillow_jxl")
    stream = io.BytesIO()
    image_module.fromarray(np.zeros((*size, 3), np.uint8)).save(stream, "JXL")
    assert read_header(stream.getvalue()).size == size[::-1]


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A photo that needs an extra is refused like any bad one, so that it does not end the others."""
    for name in ("pi_heif", "pillow_heif"):
        monkeypatch.setitem(sys.modules, name, None)
    data = by_pillow("AVIF")
    heic = data[:8] + b"heic" + data[12:16] + b"mif1heic" + data[24:]
    with pytest.raises(ValueError, match=r"is HEIC; .*pip install 'likeness3d\[heif\]'"):
        photo_from_bytes(heic)


@pytest.mark.parametrize("kind", [2, 3, 5, 6])
@pytest.mark.parametrize("white", [100, 255, 1023, 65535])
def test_netpbm(kind: int, white: int) -> None:
    image = picture() if kind in (3, 6) else picture()[..., 0]
    values = np.rint(image * (white / 255)).astype(int)
    head = f"P{kind} # a comment, 12\n60\t40 # 7\n{white}\n".encode()
    body = " ".join(map(str, values.ravel())).encode()
    if kind in (5, 6):
        body = values.astype("u1" if white < 256 else ">u2").tobytes()
    expected = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    assert_same(photo_from_bytes(head + body).image, expected, 1)
    with pytest.raises(ValueError, match="cut short"):
        photo_from_bytes(head + body[: len(body) // 3])


@pytest.mark.parametrize("bits", [8, 16])
def test_jpeg_2000(bits: int) -> None:
    deep = picture().astype(np.uint16) * 257 >> (16 - bits)
    data = encoded(deep.astype(np.uint8 if bits == 8 else np.uint16), ".jp2")
    assert_same(photo_from_bytes(data).image, picture(), 1)
    bare = data[data.index(b"\xff\x4f\xff\x51") :]
    assert_same(photo_from_bytes(bare).image, picture(), 1)
    with pytest.raises(ValueError, match=r"cut short|damaged"):
        photo_from_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("full", [1.0, 255.0, 65535.0])
def test_float_tiff(kind: type, full: float) -> None:
    image = (picture() / 255.0 * full).astype(kind)
    assert_same(photo_from_bytes(float_tiff(image)).image, picture(), 1)
    image[0, 0], image[0, 1] = np.nan, np.inf
    assert_same(photo_from_bytes(float_tiff(image)).image, picture(), 1)
    image[0, 2], image[1] = 50 * full, image[1] * 1.06  # a highlight, and what a filter leaves beyond white
    assert_same(photo_from_bytes(float_tiff(image)).image, picture(), 1)


@pytest.mark.parametrize(("number", "named"), [(50000, "Zstandard"), (34925, "LZMA"), (34887, "LERC")])
def test_a_tiff_whose_compression_is_not_read_is_called_so(number: int, named: str) -> None:
    data = bytearray(float_tiff(picture().astype(np.float32)))
    at = data.index(struct.pack("<HHI", 0x0103, 3, 1)) + 8
    struct.pack_into("<H", data, at, number)
    with pytest.raises(ValueError, match=rf"compressed with {named}, which is not read.*PNG"):
        photo_from_bytes(bytes(data))


def float_tiff(image: np.ndarray) -> bytes:
    """Without the compression that some versions of OpenCV choose, which loses something."""
    return cv2.imencode(".tif", image[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 1])[1].tobytes()


def test_a_jpeg_without_its_end_marker_is_whole(capfd: pytest.CaptureFixture[str]) -> None:
    data = encoded(picture(80, 120), ".jpg")
    for missing in (1, 2):
        photo = photo_from_bytes(data[:-missing])
        np.testing.assert_array_equal(photo.image, photo_from_bytes(data).image)
        assert photo.note == "is cut short; all its pixels are there"
    assert photo_from_bytes(data).note == ""
    assert capfd.readouterr().err == ""


def test_of_a_cut_jpeg_what_is_there_is_used(capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 64, 3), dtype=np.uint8)
    data = encoded(noise, ".jpg")
    whole = photo_from_bytes(data).image
    for share in (0.99, 0.8, 0.6):
        photo = photo_from_bytes(data[: int(share * len(data))])
        missing = int(photo.note.split(";")[1].split()[0])
        lines = 256 - missing
        assert share - 0.15 < lines / 256 < share + 0.01
        np.testing.assert_array_equal(photo.image[:lines], whole[:lines])
        assert (photo.image[lines:] == OUTSIDE_GREY).all()
    with pytest.raises(ValueError, match=r"cut short: .* of 256 lines"):
        photo_from_bytes(data[: int(0.4 * len(data))])
    assert capfd.readouterr().err == ""


def test_of_a_cut_progressive_jpeg_details_are_missing() -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (128, 128), interpolation=cv2.INTER_CUBIC)
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    photo = photo_from_bytes(data[: int(0.7 * len(data))])
    assert photo.note == "is cut short; its last details are missing"
    assert np.abs(photo.image.astype(int) - photo_from_bytes(data).image).mean() < 10


def test_a_picture_in_a_heif_that_is_larger_than_the_whole_is_refused() -> None:
    """A decoder makes room for it before it finds out."""
    data = by_pillow("AVIF")
    at = data.index(b"ispe")
    box = struct.pack(">I4sIII", 20, b"ispe", 0, 60_000, 60_000)
    grown = bytearray(data[: at - 4] + box + data[at - 4 :])
    for name in (b"meta", b"iprp", b"ipco"):
        place = grown.index(name) - 4
        struct.pack_into(">I", grown, place, struct.unpack_from(">I", grown, place)[0] + 20)
    with pytest.raises(ValueError, match=r"no larger than the whole|60000 x 60000"):
        photo_from_bytes(bytes(grown))


def test_videos_are_no_photos() -> None:
    with pytest.raises(ValueError, match="is a video"):
        photo_from_bytes(b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(100))
