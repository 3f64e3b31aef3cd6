"""One bad file of many: it is named and left out, the others are done, whatever it does."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from likeness import FaceModel, FileError, FileWarning, Mesh, Reconstructor, cli
from likeness.errors import as_file_error, printable
from likeness.evaluate.run import evaluate
from likeness.evaluate.settings import Landmarks, Recognisability
from likeness.images.header import read_header
from likeness.images.photo import Photo

LATIN1 = "J\udcf6rg"  # what Python makes of a name in Latin-1


def run(*arguments: object) -> int:
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.fixture(scope="module")
def portrait() -> bytes:
    import cv2

    image = pytest.importorskip("skimage.data").astronaut()[:300, 100:400, ::-1]
    return bytes(cv2.imencode(".jpg", image)[1].tobytes())


def in_shell(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "likeness", *arguments]
    variables = {**os.environ, **environment}
    return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, check=False)


def test_what_is_printed_is_printable_and_says_what_it_was() -> None:
    assert printable("größer/漢字 a.png") == "größer/漢字 a.png"
    assert printable(f"{LATIN1}\n\x1b[31m") == r"J\udcf6rg\n\x1b[31m"
    assert printable(Path(LATIN1)) == r"J\udcf6rg"
    error = FileError(f"{LATIN1}.png", f"is not {LATIN1}")
    assert str(error) == r"J\udcf6rg.png: is not J\udcf6rg"
    assert error.path == f"{LATIN1}.png"
    str(error).encode()


def no_room_for_an_array() -> MemoryError:
    """NumPy's own error."""
    try:
        np.empty(1 << 60, np.uint8)
    except MemoryError as error:
        return error
    raise AssertionError("an exbibyte was there")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "needs more memory than there is"),
        (no_room_for_an_array(), "needs more memory than there is"),
        (RuntimeError("[ONNXRuntimeError] : 6 : Failed to allocate memory"), "needs more memory than there is"),
        (RuntimeError("std::bad_alloc"), "needs more memory than there is"),
        (
            OverflowError("cannot convert float infinity"),
            "cannot be used (OverflowError: cannot convert float infinity)",
        ),
        (KeyError(), "cannot be used (KeyError)"),
        (RuntimeError("first\nsecond"), "cannot be used (RuntimeError: first)"),
        (FileError("other", "as it is"), "as it is"),
    ],
)
def test_every_error_is_one_line_about_the_file(error: Exception, reason: str) -> None:
    found = as_file_error("a.png", error)
    assert found.reason == reason
    assert str(found).startswith("other" if isinstance(error, FileError) else "a.png")


FAILURES: tuple[Callable[[], Exception], ...] = (
    MemoryError,
    lambda: OverflowError("cannot convert float infinity to integer"),
    lambda: RuntimeError(
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer"
    ),
    lambda: UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"),
    lambda: IndexError("index 3 is out of bounds"),
    lambda: FileError("b.jpg", "is damaged"),
)


@pytest.mark.parametrize("failure", FAILURES)
def test_reconstruct_goes_on(
    portrait: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failure: Callable[[], Exception],
) -> None:
    photos = [tmp_path / f"{name}.jpg" for name in "abc"]
    for photo in photos:
        photo.write_bytes(portrait)
    find = Reconstructor.__call__

    def fails_once(self: Reconstructor, photo: Photo, **options: object) -> list:
        if Path(str(photo.path)).name == "b.jpg":
            raise failure()
        return find(self, photo, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Reconstructor, "__call__", fails_once)
    assert run("reconstruct", *photos, "-o", tmp_path / "out", "--formats", "json") == 2
    assert {path.name for path in (tmp_path / "out").glob("*.json")} == {"a.json", "c.json"}
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "b.jpg" in lines[0]


@pytest.mark.skipif(os.name != "posix", reason="names of bytes")
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_names_that_are_not_utf8(portrait: bytes, tmp_path: Path, locale: str) -> None:
    for name in (f"{LATIN1}.jpg", "good.jpg"):
        (tmp_path / name).write_bytes(portrait)
    (tmp_path / f"{LATIN1}-bad.jpg").write_bytes(b"no photo")
    names = (f"{LATIN1}.jpg", f"{LATIN1}-bad.jpg", f"{LATIN1}-none.jpg", "good.jpg")
    size = ("--texture", "1024" if locale == "C" else "none")
    done = in_shell("reconstruct", *names, *size, "-o", f"{LATIN1}-out", cwd=tmp_path, LC_ALL=locale, PYTHONUTF8="0")
    assert done.returncode == 2
    lines = done.stderr.decode("ascii").splitlines()
    assert [line.partition(": ")[2].partition(": ")[0] for line in lines] == [
        r"J\udcf6rg-bad.jpg",
        r"J\udcf6rg-none.jpg",
    ]
    out = tmp_path / f"{LATIN1}-out"
    textures = {f"{name}-texture.jpg" for name in (LATIN1, "good") if locale == "C"}
    assert {path.name for path in out.glob("[!.]*")} == textures | {
        f"{name}.{suffix}" for name in (LATIN1, "good") for suffix in ("glb", "obj", "json", "png", "mtl")
    }
    assert json.loads((out / f"{LATIN1}.json").read_bytes())["photo"] == r"J\udcf6rg"
    with pytest.warns(FileWarning, match="textures as colours") if textures else nullcontext():
        rigged = Mesh.load(out / f"{LATIN1}.glb")
    assert len(rigged.triangles) == len(Mesh.load(out / f"{LATIN1}.obj").triangles)


@pytest.mark.parametrize("length", [245, 246, 247, 251])
def test_names_as_long_as_file_systems_take(portrait: bytes, tmp_path: Path, length: int) -> None:
    photo = tmp_path / f"{'a' * length}.jpg"
    photo.write_bytes(portrait)
    for _ in range(2):
        assert run("reconstruct", photo, "-o", tmp_path / "out", "--formats", "json", "obj") == 0
        made = sorted(path for path in (tmp_path / "out").glob("[!.]*"))
        assert sorted(path.suffix for path in made) == [".jpg", ".json", ".mtl", ".obj"]
        assert len({path.stem.removesuffix("-texture") for path in made}) == 1
    notes = next(path for path in made if path.suffix == ".json")
    assert json.loads(notes.read_bytes())["photo"] == "a" * length


def tiff(entries: list[tuple[int, int, int, bytes]]) -> bytes:
    """A TIFF structure of tag, type, count and four bytes (a value or an offset)."""
    folder = b"".join(struct.pack("<HHI", tag, kind, count) + value for tag, kind, count, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + folder + bytes(4)


def with_exif(photo: bytes, block: bytes) -> bytes:
    content = b"Exif\0\0" + block
    return photo[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + photo[2:]


ORIENTATION, EXIF_FOLDER, UNIT, FOCAL_35 = 0x0112, 0x8769, 0xA210, 0xA405
FLOAT, LONG = 11, 4
INFINITE, NAN = struct.pack("<f", np.inf), struct.pack("<f", np.nan)
BIG = struct.pack("<2sHHHQ", b"II", 43, 8, 0, (1 << 64) - 1)
BIG_VALUE = struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, 1) + struct.pack("<HHQQ", FOCAL_35, LONG, 9, (1 << 64) - 9)


@pytest.mark.parametrize(
    "block",
    [
        *(tiff([(tag, FLOAT, 1, v)]) for tag in (ORIENTATION, EXIF_FOLDER, UNIT, FOCAL_35) for v in (INFINITE, NAN)),
        tiff([(EXIF_FOLDER, LONG, 1, b"\xff\xff\xff\xff")]),
        tiff([(ORIENTATION, LONG, 0xFFFFFFFF, b"\xff\xff\xff\xff")]),
        BIG,
        BIG_VALUE,
        b"II*\0\xff\xff\xff\xff",
    ],
)
def test_a_photo_whose_exif_is_odd_is_a_photo(portrait: bytes, tmp_path: Path, block: bytes) -> None:
    header = read_header(with_exif(portrait, block))
    assert header.orientation == 1
    assert header.focal is None
    path = tmp_path / "a.jpg"
    path.write_bytes(with_exif(portrait, block))
    np.testing.assert_array_equal(Reconstructor()(path)[0].photo.shape, (300, 300, 3))


@pytest.mark.parametrize("value", [INFINITE, NAN])
def test_a_tiff_of_no_size_is_refused_by_name(tmp_path: Path, value: bytes) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff([(0x0100, FLOAT, 1, value), (0x0101, FLOAT, 1, value)]))
    with pytest.raises(FileError, match=r"a\.tif"):
        Reconstructor()(path)


def test_tags_that_come_again_and_again_are_read_once(portrait: bytes) -> None:
    """Their values would be billions of numbers."""
    entry = struct.pack("<HHII", FOCAL_35, 1, 60_000, 8)
    block = b"II*\0" + struct.pack("<IH", 8, 5000) + 5000 * entry
    assert len(read_header(with_exif(portrait, block[:65_000])).tags.get(FOCAL_35, ())) <= 1


def people(folder: Path, portrait: bytes) -> Path:
    """Two people with two photos each, one with a name in Latin-1, and with photos that are none."""
    for person in (LATIN1, "anna"):
        (folder / person).mkdir(parents=True)
        for number in range(2):
            (folder / person / f"{number}\udce9.jpg").write_bytes(portrait)
        (folder / person / "bad\udce9.jpg").write_bytes(b"none")
    return folder


@pytest.mark.skipif(os.name != "posix", reason="names of bytes")
@pytest.mark.parametrize("packed", [False, True])
def test_evaluate_photos_whose_names_are_not_utf8(portrait: bytes, tmp_path: Path, packed: bool) -> None:
    source = people(tmp_path / f"photos{LATIN1}", portrait)
    if packed:
        target = tmp_path / f"{LATIN1}.tar"
        with tarfile.open(target, "w") as archive:
            archive.add(source, arcname="")
        source = target
    out = tmp_path / f"out{LATIN1}"
    done = in_shell("evaluate", "recognisability", str(source), "-o", str(out), "--bootstrap", "0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((out / "results.json").read_bytes())
    assert found["input"]["people"] == 2
    assert found["input"]["used"] == 4
    assert {one["item"] for one in found["excluded"]} == {r"J\udcf6rg/bad\udce9", r"anna/bad\udce9"}
    assert r"J\udcf6rg" in (out / "report.html").read_text("utf-8")


def test_evaluate_goes_on_after_any_error(portrait: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for person in ("anna", "berta"):
        (tmp_path / "photos" / person).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "photos" / person / f"{number}.jpg").write_bytes(portrait + bytes([number]))
    find, raised = Reconstructor.__call__, iter((MemoryError(), OverflowError("infinite")))

    def fails(self: Reconstructor, photo: Path, **options: object) -> list:
        if photo.name == "1.jpg":
            raise next(raised)
        return find(self, photo, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Reconstructor, "__call__", fails)
    found = evaluate(Recognisability(input=tmp_path / "photos", out=tmp_path / "out", bootstrap=0)).results
    reasons = {one["item"]: one["reason"] for one in found["excluded"]}
    assert "memory" in reasons["anna/1"]
    assert "infinite" in reasons["berta/1"]
    assert found["input"]["used"] == 4


def test_a_saved_result_of_another_kind_is_left_out(portrait: bytes, tmp_path: Path) -> None:
    for person in ("anna", "berta"):
        (tmp_path / f"{person}.jpg").write_bytes(portrait)
        assert run("reconstruct", tmp_path / f"{person}.jpg", "-o", tmp_path / "r" / person, "--formats", "json") == 0
        good = json.loads((tmp_path / "r" / person / f"{person}.json").read_bytes())
        for number, change in enumerate(({"photo": ["x"]}, {"photo": "x" * 300}, {"expression": []}, {"face": {}})):
            (tmp_path / "r" / person / f"{number}.json").write_text(json.dumps(good | change))
        (tmp_path / "r" / person / "same.json").write_text(json.dumps(good))
    found = evaluate(Recognisability(input=tmp_path / "r", out=tmp_path / "out", bootstrap=0)).results
    assert found["input"]["used"] == 8
    assert {one["item"] for one in found["excluded"]} == {
        f"{person}/{number}.json" for person in ("anna", "berta") for number in (2, 3)
    }


def test_an_annotation_of_another_kind_is_left_out(portrait: bytes, tmp_path: Path) -> None:
    notes = ({"landmarks": [[1e400, 0]] * 68}, {"landmarks": {}}, [], {"landmarks": [["x", "y"]] * 68})
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        good = {"identity": "good", "landmarks": np.random.default_rng(0).uniform(50, 250, (68, 2)).tolist()}
        for number, note in enumerate((*notes, good)):
            for suffix, content in (("jpg", portrait), ("json", json.dumps(note).encode())):
                member = tarfile.TarInfo(f"{number}.{suffix}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    command = Landmarks(input=tmp_path / "set.tar", out=tmp_path / "out", annotated_crops=True)
    found = evaluate(command).results
    assert {one["item"] for one in found["excluded"]} == {f"{number}.jpg" for number in range(4)}


def test_register_goes_on_after_any_error(
    small_model: FaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("igl")
    from register_scans import POSE, code_of, raw_scan

    import likeness.register

    code = code_of(small_model, 3)
    small_model.save(tmp_path / "model.npz")
    scans = [tmp_path / f"{name}.ply" for name in ("a", LATIN1 if os.name == "posix" else "b", "c")]
    for scan in scans:
        raw_scan(small_model, code).save(scan)
    np.savetxt(tmp_path / "points.txt", POSE.apply(small_model.landmark_points(code)[:51]))
    register, failures = likeness.register.register_scan, iter((MemoryError(), OverflowError("infinite")))

    def fails(scan: Path, *arguments: object, **options: object) -> object:
        if scan != scans[1]:
            raise next(failures)
        return register(scan, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(likeness.register, "register_scan", fails)
    options = (
        "--model",
        tmp_path / "model.npz",
        "-o",
        tmp_path / "out",
        "--landmarks",
        *[tmp_path / "points.txt"] * 3,
    )
    assert run("register", *scans, *options, "--formats", "obj", "json") == 2
    assert {path.name for path in (tmp_path / "out").glob("[!.]*")} == {
        f"{scans[1].stem}.{s}" for s in ("obj", "json")
    }
    lines = capsys.readouterr().err.splitlines()
    assert [scan.name in line for scan, line in zip((scans[0], scans[2]), lines, strict=True)] == [True, True]


@pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space")
def test_a_photo_that_exhausts_memory(portrait: bytes, tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "large.png"), np.zeros((9900, 9900, 3), np.uint8))
    (tmp_path / "small.jpg").write_bytes(portrait)
    code = (
        "import resource\n"
        "from likeness import cli\n"
        "from likeness.reconstruct import reconstructor\n"
        "opened = reconstructor.Reconstructor(threads=1)\n"
        "opened('small.jpg')\n"
        "reconstructor.Reconstructor = lambda *files, **options: opened\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "resource.setrlimit(resource.RLIMIT_AS, 2 * (pages * resource.getpagesize() + (200 << 20),))\n"
        "cli.main(['reconstruct', 'large.png', 'small.jpg', '-o', 'out', '--formats', 'json'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "large.png: needs more memory than there is" in done.stderr
    assert [path.name for path in (tmp_path / "out").glob("*.json")] == ["small.json"]
