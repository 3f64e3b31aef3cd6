"""Video files: whatever the container, frames come upright, in order and with their times; others are told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from video_files import plain_frames, set_durations, track_rate, turn, write_video

from likeness import FileError
from likeness.images.encode import jpeg_bytes, png_bytes
from likeness.images.video import VideoFile, VideoWriter, is_video

GIF_HEAD = b"GIF89a" + bytes([16, 0, 16, 0, 0x80, 0, 0]) + bytes(6)
GIF_PICTURE = bytes([0x2C, 0, 0, 0, 0, 16, 0, 16, 0, 0, 2, 2, 0x4C, 1, 0])


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp4", "mp4v"), ("mov", "mp4v"), ("mkv", "FFV1"), ("webm", "VP80"), ("avi", "MJPG")]
)
def test_frames_of_every_container(tmp_path: Path, suffix: str, codec: str) -> None:
    frames = plain_frames(7)
    path = write_video(tmp_path / f"a.{suffix}", frames, 12.5, codec)
    video = VideoFile(path)
    read = list(video.frames())
    assert video.size == (64, 48)
    assert video.rate == pytest.approx(12.5, rel=1e-3)
    assert [frame.number for frame in read] == list(range(7))
    assert np.allclose([frame.time for frame in read], np.arange(7) / 12.5, atol=2e-3)
    for got, made in zip(read, frames, strict=True):
        assert np.abs(got.image.astype(int) - made).mean() < 6
    assert not video.is_cut(len(read), read[-1].time)


def test_any_frame_can_be_begun_with(tmp_path: Path) -> None:
    video = VideoFile(write_video(tmp_path / "a.mp4", plain_frames(9)))
    whole, rest = list(video.frames()), list(video.frames(5))
    assert [frame.number for frame in rest] == [5, 6, 7, 8]
    for a, b in zip(whole[5:], rest, strict=True):
        assert a.time == b.time
        assert np.array_equal(a.image, b.image)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_phone_videos_come_upright(tmp_path: Path, degrees: int) -> None:
    frames = plain_frames(3)
    plain = next(VideoFile(write_video(tmp_path / "a.mp4", frames)).frames()).image
    turned = VideoFile(turn(write_video(tmp_path / "b.mp4", frames), degrees))
    image = next(turned.frames()).image
    assert turned.size == (image.shape[1], image.shape[0])
    assert np.array_equal(image, np.rot90(plain, -degrees // 90))


def test_variable_frame_rates_show_in_the_times(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", plain_frames(6))
    seconds = np.array([0.1, 0.05, 0.3, 0.1, 0.02, 0.1])
    set_durations(path, [round(track_rate(path) * one) for one in seconds])
    times = [frame.time for frame in VideoFile(path).frames()]
    assert np.allclose(times, np.cumsum([0.0, *seconds[:-1]]), atol=2e-3)


def test_what_is_no_video_is_told(tmp_path: Path) -> None:
    cases = {
        "photo.jpg": jpeg_bytes(np.zeros((32, 32, 3), np.uint8), 90),
        "photo.mp4": png_bytes(np.zeros((32, 32, 3), np.uint8)),
        "playlist.mp4": b"#EXTM3U\n#EXTINF:1,\n/etc/hostname\n",
        "text.webm": b"hello",
        "empty.mp4": b"",
        "still.gif": GIF_HEAD + GIF_PICTURE + b";",
    }
    for name, content in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        assert not is_video(path)
        with pytest.raises(FileError, match="is no video"):
            VideoFile(path)
    (tmp_path / "two.gif").write_bytes(GIF_HEAD + 2 * GIF_PICTURE + b";")
    assert is_video(tmp_path / "two.gif")
    for missing in (tmp_path / "none.mp4", tmp_path):
        with pytest.raises(FileError, match="cannot be read"):
            VideoFile(missing)


def test_damaged_files_say_so_and_nothing_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = write_video(tmp_path / "a.mp4", plain_frames(20)).read_bytes()
    webm = write_video(tmp_path / "a.webm", plain_frames(20), codec="VP80").read_bytes()
    capfd.readouterr()
    cases = {"half.mp4": whole[: len(whole) // 2], "head.webm": webm[:200], "zeros.mp4": whole[:40] + bytes(4000)}
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileError, match=name):
            VideoFile(tmp_path / name)
    assert capfd.readouterr() == ("", "")


def test_videos_that_end_too_early_are_known(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.webm", plain_frames(30, (160, 120)), codec="VP80")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    video = VideoFile(path)
    read = list(video.frames())
    assert 0 < len(read) < 30
    assert video.is_cut(len(read), read[-1].time)


def test_small_and_colon_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileError, match="16 x 16"):
        VideoFile(write_video(tmp_path / "a.mp4", plain_frames(2, (16, 16))))
    write_video(tmp_path / "clip.mp4", plain_frames(2)).rename(tmp_path / "data:clip %02d.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(list(VideoFile("data:clip %02d.mp4").frames())) == 2


@pytest.mark.parametrize("size", [(64, 48), (65, 49), (33, 48)])
def test_written_videos_are_read_again(tmp_path: Path, size: tuple[int, int]) -> None:
    frames = plain_frames(5, size)
    with VideoWriter(tmp_path / "a.mp4", size, 8.0) as writer:
        for frame in frames:
            writer.write(frame)
        with pytest.raises(ValueError, match="pictures of"):
            writer.write(np.zeros((10, 10, 3), np.uint8))
    video = VideoFile(tmp_path / "a.mp4")
    assert video.size == (size[0] // 2 * 2, size[1] // 2 * 2)
    read = list(video.frames())
    assert len(read) == 5
    assert np.abs(read[4].image.astype(int) - frames[4][: video.size[1], : video.size[0]]).mean() < 6


def test_writing_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be written"):
        VideoWriter(tmp_path / "none" / "a.mp4", (64, 48), 10.0)
    with pytest.raises(ValueError, match=r"\.mp4"):
        VideoWriter(tmp_path / "a.webm", (64, 48), 10.0)
