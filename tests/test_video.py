"""Videos of rendered people: who is in them, how they move, and that nothing is lost or left behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from acted_videos import act, filmed
from gltf_laws import check_laws
from other_programs import khronos
from test_glb import chunks
from test_smoothing import rows
from video_files import plain_frames, turn, write_video

from likeness import ARKIT_NAMES, FileError, LikenessError, Mesh, Reconstruction, Reconstructor
from likeness.cli.main import main
from likeness.geometry.rotation import FRONTAL, euler_from_rotation
from likeness.images.video import VideoFile
from likeness.reconstruct import video as module
from likeness.reconstruct.agreement import Fused
from likeness.reconstruct.cast import Member
from likeness.reconstruct.performance import GAP, Performance
from likeness.reconstruct.refine import Refiner
from likeness.reconstruct.result import Cues
from likeness.reconstruct.video import reconstruct_video
from likeness.reconstruct.video_chunks import made_by
from likeness.result_folder import RECORDS
from likeness.view.files import Heads

JAW = ARKIT_NAMES.index("jawOpen")


@pytest.fixture(scope="module")
def reconstructor() -> Reconstructor:
    return Reconstructor(threads=1)


@pytest.fixture(scope="module")
def clip(reconstructor: Reconstructor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One person, 12 frames at 10 a second."""
    frames = filmed(reconstructor.model, [act(reconstructor.model, 1, 12)])
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", frames)


def people(reconstructor: Reconstructor, path: Path, **more: Any) -> tuple[Performance, ...]:
    return reconstruct_video(reconstructor, path, **more).people


def test_one_person_moves_as_they_did(reconstructor: Reconstructor, clip: Path) -> None:
    (found,) = people(reconstructor, clip)
    truth = act(reconstructor.model, 1, 12)
    assert found.frames.tolist() == list(range(12))
    assert np.allclose(found.times, np.arange(12) / 10, atol=2e-3)
    angles = euler_from_rotation(FRONTAL @ found.rotation)
    apart = angles - truth.angles
    assert np.abs(apart - apart.mean(0)).max() < np.radians(3)  # the neutral pose is a convention of the fit
    assert np.corrcoef(found.expression[:, JAW], truth.weights[:, JAW])[0, 1] > 0.95
    assert found.identity.shape == (found.model.identity_basis.shape[0],)
    frame = found[3]
    assert (frame.number, frame.expression.shape) == (3, (52,))
    assert len(list(found)) == 12
    assert not np.allclose(found.vertices(5), found.vertices())


def test_faces_of_a_video_are_compared_as_those_of_its_network(
    reconstructor: Reconstructor, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast, fuse, asked = module.cast_of, module.fused_identity, []

    def cast_of(faces: dict[str, Any], network: str) -> list[Member]:
        asked.append(network)
        return cast(faces, network)

    def fused_identity(refiner: Refiner, faces: list[Reconstruction], cues: list[Cues]) -> tuple[Fused, np.ndarray]:
        asked.extend(one.network for one in cues)
        return fuse(refiner, faces, cues)

    monkeypatch.setattr(module, "cast_of", cast_of)
    monkeypatch.setattr(module, "fused_identity", fused_identity)
    people(reconstructor, clip)
    assert len(asked) > 2
    assert set(asked) == {reconstructor.network.digest}


def test_two_people_cross(reconstructor: Reconstructor, tmp_path: Path) -> None:
    share = np.linspace(0, 1, 20)
    acts = [act(reconstructor.model, 1, 20, -140 + 280 * share), act(reconstructor.model, 2, 20, 140 - 280 * share)]
    acts[1].place[:, 2] += 160  # passes behind
    found = people(reconstructor, write_video(tmp_path / "a.mp4", filmed(reconstructor.model, acts, (320, 200))))
    assert len(found) == 2
    assert {0, 19} <= set(found[0].frames) & set(found[1].frames)
    for one in found:
        sideways = one.translation[:, 0] / one.translation[:, 2]
        assert np.sign(sideways[0]) != np.sign(sideways[-1])
        fits = [
            np.abs(sideways - [other.place[n, 0] / other.translation(n)[2] for n in one.frames]).max()
            for other in acts
        ]
        assert min(fits) < 0.1 < max(fits)


def test_a_face_that_goes_comes_back_as_the_same_person(reconstructor: Reconstructor, tmp_path: Path) -> None:
    one = act(reconstructor.model, 3, 14)
    one.seen[5:10] = False
    (found,) = people(reconstructor, write_video(tmp_path / "a.mp4", filmed(reconstructor.model, [one])))
    assert set(range(5)) <= set(found.frames)
    assert {12, 13} <= set(found.frames)
    assert not set(found.frames) & set(range(6, 10))
    assert len(found.pieces()) == 2
    keys = found.animation()
    assert len(keys.times) == len(found) + 1
    gap = int(np.argmax(np.diff(found.times)))
    assert np.diff(found.times)[gap] > GAP
    assert np.array_equal(keys.weights[gap], keys.weights[gap + 1])  # holds still until then


def test_another_scene_shows_another_person(reconstructor: Reconstructor, tmp_path: Path) -> None:
    first = filmed(reconstructor.model, [act(reconstructor.model, 4, 6)])
    other = filmed(reconstructor.model, [act(reconstructor.model, 5, 6)])
    bright = [255 - (255 - frame) // 3 for frame in other]
    found = people(reconstructor, write_video(tmp_path / "a.mp4", [*first, *bright, *first]))
    assert [one.frames.tolist() for one in found] == [[*range(6), *range(12, 18)], [*range(6, 12)]]
    swapped = people(reconstructor, write_video(tmp_path / "b.mp4", [*first, *other, *first]))  # nothing else changes
    assert [one.frames.tolist() for one in swapped] == [one.frames.tolist() for one in found]
    assert len(people(reconstructor, tmp_path / "a.mp4", max_people=1)) == 1


def test_a_phone_video_is_the_upright_one(reconstructor: Reconstructor, clip: Path, tmp_path: Path) -> None:
    lying = [np.rot90(frame.image) for frame in VideoFile(clip).frames()]
    (found,) = people(reconstructor, turn(write_video(tmp_path / "a.mp4", lying), 90))
    (plain,) = people(reconstructor, clip)
    assert found.camera.size == plain.camera.size
    assert found.frames.tolist() == plain.frames.tolist()
    turned = euler_from_rotation(FRONTAL @ found.rotation) - euler_from_rotation(FRONTAL @ plain.rotation)
    assert np.abs(turned).max() < np.radians(3)


class KilledError(Exception):
    """Stands for the end of a process."""


def test_a_killed_run_goes_on_where_it_was(
    reconstructor: Reconstructor, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRAMES", 4)
    whole = reconstruct_video(reconstructor, clip).people[0]
    looked: list[int] = []

    def until(last: int, what: str, done: int, total: int) -> None:
        if what == "faces":
            looked.append(done - 1)
            if done > last:
                raise KilledError

    with pytest.raises(KilledError):
        reconstruct_video(reconstructor, clip, work=tmp_path, steps=lambda *told: until(9, *told))
    assert len(list((tmp_path / RECORDS).rglob("*.npz"))) == 2
    looked.clear()
    result = reconstruct_video(reconstructor, clip, work=tmp_path, steps=lambda *told: until(99, *told))
    (found,) = result.people
    assert looked == list(range(8, 12))  # the third chunk was lost
    for name in ("frames", "times", "tracks", "expression", "rotation", "translation", "identity"):
        assert np.array_equal(getattr(found, name), getattr(whole, name)), name
    result.save(tmp_path, ["csv"])
    assert not list(tmp_path.rglob("*.npz"))


def test_damaged_work_is_done_anew(
    reconstructor: Reconstructor, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRAMES", 4)

    def stop(what: str, done: int, total: int) -> None:
        if done == 10:
            raise KilledError

    with pytest.raises(KilledError):
        reconstruct_video(reconstructor, clip, work=tmp_path, steps=stop)
    chunk = max((tmp_path / RECORDS).rglob("*.npz"))
    chunk.write_bytes(chunk.read_bytes()[:100])
    (found,) = reconstruct_video(reconstructor, clip, work=tmp_path).people
    assert found.frames.tolist() == list(range(12))


def test_the_command_writes_what_it_says(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["reconstruct", str(clip), "-o", str(tmp_path), "--threads", "1"])
    told = capsys.readouterr()
    assert "1 person in 1 video" in told.out
    assert f"person 1 in 12 of 12 frames, 0.0 to 1.1 s -> {tmp_path / 'clip'}" in told.out
    assert "faces" in told.out
    assert told.err == ""
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != RECORDS) == [
        "clip.csv",
        "clip.glb",
        "clip.json",
        "clip.mp4",
    ]
    document, _ = chunks((tmp_path / "clip.glb").read_bytes())
    assert {channel["target"]["path"] for channel in document["animations"][0]["channels"]} == {
        "weights",
        "rotation",
        "translation",
    }
    check_laws((tmp_path / "clip.glb").read_bytes())
    table = rows((tmp_path / "clip.csv").read_bytes())
    saved = json.loads((tmp_path / "clip.json").read_text())
    assert len(table) == len(saved["frames"]) == 12
    assert [row["Timecode"] for row in table[:2]] == ["00:00:00:00.000", "00:00:00:01.000"]
    yaw = euler_from_rotation(FRONTAL @ np.array(saved["rotation"]))[:, 0]
    assert np.allclose([float(row["HeadYaw"]) for row in table], yaw, atol=1e-4)
    assert Mesh.load(tmp_path / "clip.glb").vertices[:, 0].mean() == pytest.approx(0, abs=5)
    assert "video" in Heads().head(tmp_path / "clip.glb").note  # and not: its photo cannot be read
    shown, made = list(VideoFile(clip).frames()), list(VideoFile(tmp_path / "clip.mp4").frames())
    assert len(shown) == len(made)
    assert np.abs(shown[5].image.astype(int) - made[5].image).max() > 40  # a head is over it
    assert np.abs(shown[5].image[:, :20].astype(int) - made[5].image[:, :20]).mean() < 10  # and only there


def test_a_finished_video_is_not_done_again(
    reconstructor: Reconstructor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    acts = [act(reconstructor.model, number, 4, np.full(4, side)) for number, side in ((1, -90.0), (2, 90.0))]
    clip = write_video(tmp_path / "clip.mp4", filmed(reconstructor.model, acts, (320, 200)))

    def made(*options: str) -> tuple[dict[str, int], str, dict[str, Any]]:
        command = ["reconstruct", str(clip), "-o", str(tmp_path / "out"), "--threads", "1", "--json"]
        main([*command, "--video-formats", "csv", "json", *options])
        told = capsys.readouterr()
        (result,) = json.loads(told.out)["results"]
        files = {path.name: path.stat().st_ino for path in (tmp_path / "out").glob("*.*") if path.name != RECORDS}
        assert sorted(Path(file).name for file in result["files"]) == sorted(files)
        return files, told.err, result

    first, said, result = made()
    assert (len(first), "made before" in said, result["notes"]) == (4, False, [])
    again, said, before = made()
    assert (again, said.count("made before"), before["notes"]) == (first, 2, ["made before"])
    assert "faces" not in said  # nobody looked
    assert before["figures"] == result["figures"]
    (tmp_path / "out" / "clip-2.csv").unlink()  # a file that is gone
    again, said, _ = made()
    assert (again.keys(), "made before" in said) == (first.keys(), False)
    again, said, _ = made("--max-faces", "1")  # other options
    assert (sorted(again), "made before" in said) == (["clip.csv", "clip.json"], False)
    assert "made before" in made("--max-faces", "1")[1]
    clip.write_bytes(clip.read_bytes() + bytes(8))  # other content
    assert "made before" not in made("--max-faces", "1")[1]


def test_what_was_seen_is_kept_until_results_are_saved(
    reconstructor: Reconstructor, clip: Path, tmp_path: Path
) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if what == "overlay":
            raise KilledError

    looked: list[str] = []
    with pytest.raises(KilledError):
        reconstruct_video(reconstructor, clip, work=tmp_path).save(tmp_path, ["mp4"], steps=stop)
    result = reconstruct_video(reconstructor, clip, work=tmp_path, steps=lambda what, *_: looked.append(what))
    assert set(looked) == {"expressions"}
    result.save(tmp_path, ["csv"])
    assert not list(tmp_path.rglob("*.npz"))


def test_the_khronos_validator_has_nothing_to_say_of_a_video(
    reconstructor: Reconstructor, clip: Path, tmp_path: Path
) -> None:
    (found,) = people(reconstructor, clip)
    found.write_glb(tmp_path / "clip.glb")
    assert khronos([tmp_path / "clip.glb"]) == {"clip.glb": []}


def test_formats_of_photos_are_refused_for_videos(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in (["--formats", "json"], ["--normal-map"]):
        with pytest.raises(SystemExit) as refused:
            main(["reconstruct", str(clip), "-o", str(tmp_path / "out"), *option])
        assert refused.value.code == 2
        assert f"expected photos with {option[0]}, got videos only" in capsys.readouterr().err


def test_a_run_goes_on_with_its_own_models_only(reconstructor: Reconstructor) -> None:
    """Files of one name are not one network: another precision, face model or map of points is another key."""
    first = made_by(reconstructor)
    assert made_by(reconstructor) == first
    network, model, points = reconstructor.network, reconstructor.model, reconstructor.points
    assert points is not None
    for changed in (
        (SimpleNamespace(digest=network.digest, precision="float64"), model, points),
        (SimpleNamespace(digest="other", precision=network.precision), model, points),
        (network, replace(model, mean=model.mean + 1), points),
        (network, model, replace(points, readout=None)),
    ):
        stand_in = SimpleNamespace(**dict(zip(("network", "model", "points"), changed, strict=True)))
        assert made_by(cast(Reconstructor, stand_in)) != first


def test_files_of_others_are_seen_before_the_work(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clip.csv").write_text("mine")
    with pytest.raises(SystemExit) as stopped:
        main(["reconstruct", str(clip), "-o", str(tmp_path), "--threads", "1"])
    assert stopped.value.code == 2
    told = capsys.readouterr()
    assert "--overwrite" in told.err
    assert "faces" not in told.out
    assert (tmp_path / "clip.csv").read_text() == "mine"
    main(["reconstruct", str(clip), "-o", str(tmp_path), "--threads", "1", "--overwrite", "--video-formats", "csv"])
    assert (tmp_path / "clip.csv").read_text().startswith("Timecode")


def test_bad_videos_end_with_2_and_the_others_are_done(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "half.mp4").write_bytes(clip.read_bytes()[:2000])
    write_video(tmp_path / "nobody.mp4", plain_frames(3))
    given = [str(tmp_path / "half.mp4"), str(tmp_path / "nobody.mp4"), str(clip)]
    with pytest.raises(SystemExit) as stopped:
        main(["reconstruct", *given, "-o", str(tmp_path / "out"), "--threads", "1", "--video-formats", "csv"])
    assert stopped.value.code == 2
    told = capsys.readouterr()
    assert "half.mp4" in told.err
    assert "nobody.mp4: no face found in 3 frames" in told.err
    assert "1 person in 3 videos" in told.out
    assert [path.name for path in (tmp_path / "out").glob("*.*") if path.name != RECORDS] == ["clip.csv"]
    assert not list((tmp_path / "out").rglob("*.npz"))


def test_networks_without_points_are_refused(clip: Path) -> None:
    with pytest.raises(LikenessError, match="surface points"):
        reconstruct_video(Reconstructor(threads=1, refine=False), clip)


def test_formats_are_known(reconstructor: Reconstructor, clip: Path, tmp_path: Path) -> None:
    result = reconstruct_video(reconstructor, clip)
    with pytest.raises(ValueError, match="webm"):
        result.save(tmp_path, ["webm"])
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError):
        result.save(tmp_path / "file", ["csv"])
