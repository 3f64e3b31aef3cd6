"""Smoothing of what is measured frame by frame: laws of the filter, and what the table of a performance holds."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from likeness import ARKIT_NAMES
from likeness.geometry.rotation import rotation_from_euler
from likeness.reconstruct.live_link import COLUMNS, GAZE, gaze_angles, live_link_csv, timecode
from likeness.reconstruct.smoothing import CERTAIN, noise_of, smoothed

RATE = 30.0
NOISE = 0.02


def blink(times: np.ndarray, at: float, seconds: float = 0.2, depth: float = 0.9) -> np.ndarray:
    """Closes in a third of the time and opens in the rest, as lids do."""
    share = np.clip((times - at) / seconds, 0, 1)
    return depth * np.where(share < 1 / 3, np.sin(1.5 * np.pi * share), np.cos(0.75 * np.pi * (share - 1 / 3))) ** 2


def uneven(count: int, rng: np.random.Generator) -> np.ndarray:
    return np.cumsum(rng.uniform(0.4, 1.6, count)) / RATE


def roughness(values: np.ndarray) -> float:
    """RMS second difference: what the eye sees as jitter."""
    return float(np.sqrt((np.diff(values, 2, axis=0) ** 2).mean()))


def test_straight_lines_stay_whatever_the_times() -> None:
    rng = np.random.default_rng(0)
    times = uneven(60, rng)
    lines = times[:, None] * [1.0, -3.0, 0.0] + [0.1, 2.0, 5.0]
    assert np.allclose(smoothed(times, lines), lines, atol=1e-9)


def test_the_past_and_the_future_count_alike() -> None:
    rng = np.random.default_rng(1)
    times = uneven(80, rng)
    values = rng.normal(0, 1, (80, 4))
    backwards = smoothed(times[-1] - times[::-1], values[::-1])[::-1]
    assert np.allclose(backwards, smoothed(times, values), atol=1e-9)


def test_nothing_is_moved_by_more_than_the_noise_allows() -> None:
    rng = np.random.default_rng(2)
    times = uneven(200, rng)
    values = np.cumsum(rng.normal(0, 1, (200, 3)), axis=0) + 20 * (rng.random((200, 3)) < 0.05)
    for least in (0.0, 2.0):
        limit = CERTAIN * np.maximum(noise_of(times, values), least)
        assert (np.abs(smoothed(times, values, least) - values) <= limit + 1e-9).all()


def test_the_noise_is_told_from_slow_movement() -> None:
    rng = np.random.default_rng(3)
    times = uneven(3000, rng)
    slow = np.sin(2 * np.pi * 0.4 * times)
    found = noise_of(times, (slow + rng.normal(0, NOISE, 3000))[:, None])[0]
    assert found == pytest.approx(NOISE, rel=0.15)


def test_jitter_falls_and_slow_movement_neither_lags_nor_shrinks() -> None:
    rng = np.random.default_rng(4)
    times = np.arange(600) / RATE
    truth = 0.3 * np.sin(2 * np.pi * 0.5 * times)
    raw = truth + rng.normal(0, NOISE, 600)
    found = smoothed(times, raw[:, None])[:, 0]
    assert roughness(found - truth) < 0.25 * roughness(raw - truth)
    assert np.std(found - truth) < 0.65 * NOISE
    lags = np.arange(-5, 6)
    match = [float(found[10 + lag : 590 + lag] @ truth[10:590]) for lag in lags]
    assert lags[int(np.argmax(match))] == 0
    assert found @ truth / (truth @ truth) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("seconds", [0.1, 0.15, 0.3])
@pytest.mark.parametrize("rate", [15.0, 30.0, 60.0])
def test_blinks_keep_onset_and_depth(seconds: float, rate: float) -> None:
    rng = np.random.default_rng(5)
    times = np.arange(int(12 * rate)) / rate
    starts = np.arange(1.0, 11.0) + rng.uniform(0, 0.3, 10)
    truth = sum(blink(times, at, seconds) for at in starts)
    raw = np.clip(truth + rng.normal(0, NOISE, len(times)), 0, 1)
    found = smoothed(times, raw[:, None], 0.01)[:, 0]
    for at in starts:
        near = np.flatnonzero((times > at - 0.1) & (times < at + seconds + 0.1))
        assert found[near].max() == pytest.approx(raw[near].max(), abs=0.04)
        half = 0.5 * raw[near].max()
        first = [int(np.argmax(one[near] >= half)) for one in (raw, found)]
        crossing = [_crossing(times[near], one[near], half) for one in (raw, found)]
        assert abs(first[0] - first[1]) <= 1
        assert abs(crossing[0] - crossing[1]) < 0.25 / rate


def _crossing(times: np.ndarray, values: np.ndarray, level: float) -> float:
    """The first time at which the line through the values reaches a level."""
    after = int(np.argmax(values >= level))
    if after == 0:
        return float(times[0])
    share = (level - values[after - 1]) / (values[after] - values[after - 1])
    return float(times[after - 1] + share * (times[after] - times[after - 1]))


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_short_videos(count: int) -> None:
    times, values = np.arange(count) / RATE, np.random.default_rng(6).normal(0, 1, (count, 2))
    found = smoothed(times, values)
    assert found.shape == (count, 2)
    assert np.isfinite(found).all()


def test_frames_far_apart_stay_as_they_are() -> None:
    values = np.random.default_rng(7).normal(0, 1, (20, 3))
    assert np.allclose(smoothed(np.arange(20.0), values), values)


def test_times_that_do_not_increase() -> None:
    with pytest.raises(ValueError, match="increasing"):
        smoothed(np.zeros(3), np.zeros((3, 1)))


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_the_table_is_laid_out_as_the_app_does_it() -> None:
    assert len(COLUMNS) == 63
    assert COLUMNS[:3] == ("Timecode", "BlendShapeCount", "EyeBlinkLeft")
    assert COLUMNS[16:20] == ("JawForward", "JawRight", "JawLeft", "JawOpen")
    assert COLUMNS[53:57] == ("TongueOut", "HeadYaw", "HeadPitch", "HeadRoll")
    assert COLUMNS[-1] == "RightEyeRoll"
    rng = np.random.default_rng(8)
    weights, angles = rng.uniform(0, 1, (5, 52)), rng.uniform(-0.6, 0.6, (5, 3))
    times = np.array([0.0, 0.04, 0.5, 61.0, 3661.25])
    found = rows(live_link_csv(times, 25, weights, rotation_from_euler(*angles.T), gaze_angles(weights)))
    assert [row["Timecode"] for row in found] == [
        "00:00:00:00.000",
        "00:00:00:01.000",
        "00:00:00:12.500",
        "00:01:01:00.000",
        "01:01:01:06.250",
    ]
    for number, row in enumerate(found):
        assert row["BlendShapeCount"] == "61"
        for name, weight in zip(ARKIT_NAMES, weights[number], strict=True):
            assert float(row[name[0].upper() + name[1:]]) == pytest.approx(weight, abs=1e-7)
        assert [float(row[f"Head{name}"]) for name in ("Yaw", "Pitch", "Roll")] == pytest.approx(angles[number])


def test_timecodes_carry_into_the_next_second() -> None:
    assert timecode(0.99999, 29.97) == "00:00:01:00.000"
    assert timecode(59.999999, 60) == "00:01:00:00.000"


def test_eyes_turn_the_way_that_weights_say() -> None:
    weights = np.zeros((3, 52))
    for number, name in enumerate(("eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft")):
        weights[number, ARKIT_NAMES.index(name)] = 1.0
    assert np.allclose(gaze_angles(weights)[0] / GAZE, [[1, 0], [0, 0]])
    assert np.allclose(gaze_angles(weights)[1] / GAZE, [[0, 0], [-1, 0]])
    assert np.allclose(gaze_angles(weights)[2] / GAZE, [[0, 1], [0, 0]])
