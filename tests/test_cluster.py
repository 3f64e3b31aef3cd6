"""Archives of photos: the same tables whoever does the work and however often it is ended; nothing twice or lost."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from likeness import FileError, LikenessError, MissingExtraError, Reconstructor, cli
from likeness.cli.tables import as_given
from likeness.cluster.engines import by_ray
from likeness.cluster.photos import PhotoAt, list_photos, shards
from likeness.cluster.worker import Answer, Task
from likeness.extras import one_blas_thread

pytest.importorskip("pyarrow", reason="tables need the extra parquet")

from likeness.cluster.archive import Archive, reconstruct_archive

Work = Callable[[Task], Answer]


@cache
def jpeg(side: int, gray: bool = False) -> bytes:
    import cv2

    image = pytest.importorskip("skimage.data").astronaut()[..., ::-1]
    image = np.full_like(image, 127) if gray else image
    return cv2.imencode(".jpg", image[:side, 110 : 110 + side])[1].tobytes()


@pytest.fixture(scope="module")
def reconstructor() -> Reconstructor:
    return Reconstructor(threads=1)


@pytest.fixture(autouse=True)
def one_reconstructor(reconstructor: Reconstructor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likeness.reconstruct.reconstructor.Reconstructor", lambda **_: reconstructor)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with five photos: three faces, none, and what is no photo; and two in a tar."""
    folder = tmp_path / "photos"
    (folder / "a").mkdir(parents=True)
    for name, side in (("a/x.jpg", 190), ("a/y.jpg", 200), ("me.jpg", 210)):
        (folder / name).write_bytes(jpeg(side))
    (folder / "none.jpg").write_bytes(jpeg(80, gray=True))
    (folder / "bad.png").write_text("no photo")
    (folder / "notes.txt").write_text("left out")
    with tarfile.open(folder / "more.tar", "w") as archive:
        for name, data in (("p1/1.jpg", jpeg(220)), ("p1/0.jpg", jpeg(230)), ("p1/.h.jpg", b""), ("0.json", b"{}")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return folder


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def table(folder: Path) -> list[dict]:
    import pyarrow.parquet as parquet

    return [row for part in sorted((folder / "faces").iterdir()) for row in parquet.read_table(part).to_pylist()]


class Losing:
    """An engine with processes that end at some tasks and leave no answer: as often as is said for each photo."""

    def __init__(self, ends: dict[str, int] | None = None, at_most: int | None = None) -> None:
        self.ends, self.at_most, self.asked = dict(ends or {}), at_most, list[int]()

    def __call__(self, make: Callable[[], Work], tasks: Sequence[Task]) -> Iterator[Answer]:
        work = make()
        for task in reversed(tasks):
            self.asked.append(task.shard.number)
            if self.at_most is not None and len(self.asked) > self.at_most:
                raise KeyboardInterrupt
            fatal = [photo.name for photo in task.shard.photos if self.ends.get(photo.name)]
            for name in fatal:
                self.ends[name] -= 1
            if not fatal:
                yield work(task)


def test_photos_of_folders_tars_and_stores_are_listed_alike_and_read_whole(photos: Path) -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    for name, data in files_in(photos).items():
        store.pipe(f"/bucket/{name}", data)
    here_, there, memory = (list_photos([one]) for one in (photos, photos.as_uri(), "memory://bucket"))
    names = [photo.name.partition("photos/")[2] for photo in here_]
    tarred = ["more.tar/p1/0.jpg", "more.tar/p1/1.jpg"]
    assert sorted(names) == ["a/x.jpg", "a/y.jpg", "bad.png", "me.jpg", *tarred, "none.jpg"]
    in_store = [photo.name.partition("photos/")[2] for photo in there]
    assert sorted(in_store) == sorted(names)
    assert [photo.name.partition("bucket/")[2] for photo in memory] == in_store
    content = {photo.name.rpartition("/")[2]: photo.read() for photo in here_}
    assert content["1.jpg"] == jpeg(220)
    for listed in (there, memory):
        assert {photo.name.rpartition("/")[2]: photo.read() for photo in listed} == content
    assert list_photos([photos / "me.jpg", photos]) == list_photos([photos / "me.jpg", *[photos] * 2])
    portions = shards(here_, 3)
    assert [one.first for one in portions] == [0, 3, 6]
    assert [photo for one in portions for photo in one.photos] == here_
    assert PhotoAt("s3://b/p?access_key=secret", "1.jpg").name == "s3://b/p/1.jpg"


def test_what_cannot_be_listed_or_read_is_named(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for given, said in [
        (str(tmp_path / "empty"), "without photos"),
        (f"{tmp_path.as_uri()}/empty", "no photos in it"),
        (f"{tmp_path.as_uri()}/missing", "does not exist"),
        ("nostore://x/y", "cannot be opened"),
    ]:
        with pytest.raises(FileError, match=said):
            list_photos([given])
    (tmp_path / "empty" / "bad.tar").write_bytes(b"x" * 2000)
    with pytest.raises(FileError, match=r"bad\.tar"):
        list_photos([tmp_path / "empty"])
    member = next(photo for photo in list_photos([photos]) if photo.member)
    Path(member.place).write_bytes(Path(member.place).read_bytes()[: member.offset + 10])
    with pytest.raises(FileError, match="cut short"):
        member.read()


def test_rows_say_what_the_reconstructor_finds(photos: Path, tmp_path: Path, reconstructor: Reconstructor) -> None:
    out = tmp_path / "out"
    archive = reconstruct_archive(list_photos([photos]), out, formats=("json", "glb"), texture=128)
    rows = {Path(row["member"] or row["source"]).name: row for row in table(out)}
    assert len(rows) == 7
    with one_blas_thread():  # as workers do: sums of several threads differ in the last digit
        face = reconstructor(photos / "me.jpg")[0]
    row = rows["me.jpg"]
    assert (row["face"], row["error"], row["width"], row["height"]) == (1, "", 210, 210)
    assert row["sha256"] == face.source.sha256
    for name, value in {
        "box": face.box,
        "landmarks": face.landmarks,
        "identity": face.coefficients.identity,
        "expression": face.coefficients.expression,
        "albedo": face.coefficients.albedo,
        "light": face.coefficients.light,
        "rotation": face.rotation,
        "translation": face.translation,
    }.items():
        np.testing.assert_array_equal(row[name], np.asarray(value, np.float32).ravel(), err_msg=name)
    told = json.loads((out / f"{row['head']}.json").read_text())
    assert told["source"] == {"path": str(photos / "me.jpg"), "sha256": row["sha256"]}
    glb = (out / f"{row['head']}.glb").read_bytes()
    assert len(glb) > 100_000
    assert b'"baseColorTexture"' in glb  # the person's own skin
    assert rows["1.jpg"]["source"] == str(photos / "more.tar")
    assert rows["none.jpg"]["face"] is None
    assert rows["none.jpg"]["identity"] is None
    assert rows["none.jpg"]["error"] == ""
    assert "no image of a known kind" in rows["bad.png"]["error"]
    lines = {Path(line.name).name: line for line in archive.lines()}
    assert [lines[name].faces for name in ("me.jpg", "none.jpg", "bad.png", "0.jpg")] == [1, 0, 0, 1]
    assert lines["bad.png"].error


def test_neither_engines_nor_processes_that_end_change_a_byte(photos: Path, tmp_path: Path) -> None:
    import fsspec

    listed = list_photos([photos])
    plain = tmp_path / "plain"
    reconstruct_archive(listed, plain, shard=3, formats=("json",))
    lossy = Losing({listed[1].name: 1, listed[4].name: 1})
    reconstruct_archive(listed, tmp_path / "lossy", shard=3, formats=("json",), engine=lossy)
    assert lossy.ends == {listed[1].name: 0, listed[4].name: 0}
    assert files_in(tmp_path / "lossy") == files_in(plain)
    reconstruct_archive(listed, "memory://out/of", shard=3, formats=("json",))
    store = fsspec.filesystem("memory")
    assert {name.removeprefix("/out/of/"): store.cat(name) for name in store.find("/out/of")} == files_in(plain)


def test_a_photo_that_ends_processes_is_given_up_alone(photos: Path, tmp_path: Path) -> None:
    listed = list_photos([photos])
    fatal = next(photo for photo in listed if photo.name.endswith("me.jpg"))
    archive = reconstruct_archive(listed, tmp_path / "out", shard=3, engine=Losing({fatal.name: 9}))
    lines = {line.name: line for line in archive.lines()}
    assert [name for name, line in lines.items() if "ended by the system" in line.error] == [fatal.name]
    assert sum(line.faces for line in lines.values()) == 4
    with pytest.raises(LikenessError, match="before they can work"):
        reconstruct_archive(listed, tmp_path / "other", engine=lambda make, tasks: iter(()))
    assert not (tmp_path / "other" / "faces").exists()


def test_a_run_that_was_ended_goes_on_where_it_was(photos: Path, tmp_path: Path) -> None:
    listed, whole, out = list_photos([photos]), tmp_path / "whole", tmp_path / "out"
    reconstruct_archive(listed, whole, shard=2)
    with pytest.raises(KeyboardInterrupt):
        reconstruct_archive(listed, out, shard=2, engine=Losing(at_most=2))
    made = {path.name: path.stat().st_mtime_ns for path in (out / "faces").iterdir()}
    assert sorted(made) == ["part-000002.parquet", "part-000003.parquet"]
    cut = out / "faces" / "part-000002.parquet"
    cut.write_bytes(cut.read_bytes()[:-9])  # as after a power cut
    heard: list[tuple[str, int, int]] = []
    rest = Losing()
    reconstruct_archive(listed, out, shard=2, engine=rest, steps=lambda *step: heard.append(step))
    assert rest.asked == [2, 1, 0]
    assert heard[0] == ("photos", 1, 7)
    assert heard[-1] == ("photos", 7, 7)
    assert files_in(out) == files_in(whole)
    assert (out / "faces" / "part-000003.parquet").stat().st_mtime_ns == made["part-000003.parquet"]
    nothing = Losing()
    reconstruct_archive(listed, out, shard=2, engine=nothing)
    assert nothing.asked == []


def test_what_is_not_of_this_run_is_replaced_only_if_asked(photos: Path, tmp_path: Path) -> None:
    listed, out = list_photos([photos]), tmp_path / "out"
    reconstruct_archive(listed[:2], out, shard=1, formats=("json",))
    (out / "faces" / "mine.txt").write_text("mine")
    before = files_in(out)
    for given, more, said in [
        (listed[:3], {}, "other photos"),
        (listed[:2], {"max_faces": 1}, "max_faces None there, 1 now"),
        (listed[:2], {"shard": 2}, "shard"),
    ]:
        with pytest.raises(FileError, match=said):
            reconstruct_archive(given, out, **{"shard": 1, "formats": ("json",), **more})
        assert files_in(out) == before
    reconstruct_archive(listed[2:3], out, overwrite=True)
    assert set(files_in(out)) == {"manifest.json", "faces/mine.txt", "faces/part-000000.parquet"}
    (out / "manifest.json").write_text('{"name": "a web app"}')
    with pytest.raises(FileError, match="no run of likeness"):
        reconstruct_archive(listed[2:3], out)


def test_what_nobody_can_do_ends_the_run(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = list_photos([photos])
    with pytest.raises(ValueError, match="at least one photo"):
        reconstruct_archive([], tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="file"):
        reconstruct_archive(listed, tmp_path / "file")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"likeness3d\[cluster\]"):
        by_ray()


def run(*arguments: object) -> int:
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_the_command_makes_tables_by_any_number_of_processes(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    for out, jobs in (("one", 1), ("two", 2)):
        assert run("reconstruct", photos.as_uri(), "-o", tmp_path / out, "--formats", "parquet", "--jobs", jobs) == 2
        printed = capsys.readouterr()
        told.append((printed.out.replace(f"/{out}", ""), printed.err))
    assert told[0] == told[1]
    assert told[0][0].startswith("5 faces in 7 photos -> ")
    assert told[0][0].endswith("1 without a face, 1 failed\n")
    assert files_in(tmp_path / "one") == files_in(tmp_path / "two")
    for wrong in (["--person"], ["--threads", "4"], ["--jobs", "0"]):
        assert run("reconstruct", photos, "-o", tmp_path / "o", "--engine", "ray", *wrong) == 2
    assert run("reconstruct", "-", "-o", tmp_path / "o", "--engine", "ray") == 2
    capsys.readouterr()
    monkeypatch.setitem(sys.modules, "ray", None)
    assert run("reconstruct", photos, "-o", tmp_path / "o", "--engine", "ray") == 2
    assert "pip install 'likeness3d[cluster]'" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("url", ["s3://bucket/a b", "file:///tmp/x", "memory://x?y=1"])
def test_urls_are_understood_as_they_were_given(url: str) -> None:
    assert as_given(Path(url)) == url
    assert as_given(Path("a/b:c")) == "a/b:c"


def test_archives_know_their_tables(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist"):
        list(Archive(str(tmp_path), 1, 1).lines())


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_tables_are_read_by_no_other_thread() -> None:
    """One of Arrow's that lets go of Python's bytes while Python ends would abort the process."""
    count = "len(os.listdir('/proc/self/task'))"
    code = f"""
import os
from likeness.cluster.tables import parquet_bytes, photo_lines, photos_in, rows_in
row = {{"photo": 0, "source": "a.jpg", "member": "", "sha256": "", "note": "", "error": ""}}
data, before = parquet_bytes([row], {{}}), {count}
assert (photos_in(data), len(rows_in(data)), len([*photo_lines(data)])) == (1, 1, 1)
print({count} - before)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "0"
