"""Tracks of a video -> its people: the network's whitening, movement and time say whose they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from likeness.reconstruct.cast import cast_of
from likeness.reconstruct.tracking import UNLIKE, Track, _alike
from likeness.reconstruct.whitening import default_whitening

FRAMES = 6


@pytest.fixture
def lit() -> tuple[np.ndarray, np.ndarray]:
    """Codes of two people (2, K), and of two lights (2, K) that change codes more than people do, along directions in
    which one person's photos scatter most."""
    whitening, rng = default_whitening(), np.random.default_rng(0)
    values, vectors = np.linalg.eigh(
        whitening.identity @ whitening.identity + whitening.features @ whitening.features
    )
    assert values[-1] > 9 * values[1]
    lights, people = vectors[:, :2].T, vectors[:, -40:] @ rng.standard_normal((40, 2)) / np.sqrt(40)
    return people.T, 1.4 * lights


def faces_of(tracks: list[np.ndarray], scene: list[int], center: list[float] | None = None) -> dict[str, Any]:
    """Tracks one after the other, FRAMES frames each, faces 100 pixels large."""
    count = np.arange(len(tracks) * FRAMES)
    track, rng = count // FRAMES, np.random.default_rng(1)
    codes = np.stack(tracks)[track] + 1e-3 * rng.standard_normal((len(count), len(tracks[0])))
    place = np.zeros((len(count), 2))
    place[:, 0] = 0.0 if center is None else np.array(center)[track]
    return {
        "track": track,
        "scene": np.array(scene)[track],
        "frame": count,
        "time": count / 30,
        "identity": codes,
        "features": codes,
        "center": place,
        "size": np.full(len(count), 100.0),
        "precision": np.ones(len(count)),
    }


def test_people_of_two_lights_are_told_apart_by_the_whitening_of_the_network(
    lit: tuple[np.ndarray, np.ndarray],
) -> None:
    (one, other), (day, night) = lit
    faces = faces_of([one + day, other + day, one + night, other + night], [0, 1, 2, 3])
    whitened = [member.tracks for member in cast_of(faces, default_whitening().network)]
    plain = [member.tracks for member in cast_of(faces, "of another network")]
    assert sorted(whitened) == [(0, 2), (1, 3)]
    assert sorted(plain) == [(0, 1), (2, 3)]


def test_a_face_that_changes_with_the_light_is_followed_and_another_s_is_not(
    lit: tuple[np.ndarray, np.ndarray],
) -> None:
    (one, other), (day, night) = lit

    def alike(a: np.ndarray, b: np.ndarray, network: str) -> float:
        before, now = (Track(0, 0.0, np.zeros((68, 2)), np.zeros(2), np.zeros(2), code, code) for code in (a, b))
        return _alike(before, now, network)

    network = default_whitening().network
    assert alike(one + day, one + night, "") < UNLIKE < alike(one + day, one + night, network)
    assert alike(one + day, other + day, network) < UNLIKE < alike(one + day, other + day, "")


@pytest.mark.parametrize("network", ["", default_whitening().network])
def test_movement_decides_where_codes_are_in_doubt(network: str) -> None:
    # Two tracks as alike as one person's and two people's photos are in the middle.
    rng = np.random.default_rng(2)
    whitening = default_whitening()
    basis = np.linalg.qr(rng.standard_normal((len(whitening.identity), 2)))[0].T
    if network:
        basis = np.linalg.qr((basis @ whitening.identity).T)[0].T @ np.linalg.inv(whitening.identity)
    codes = [basis[0], 0.4 * basis[0] + np.sqrt(1 - 0.4**2) * basis[1]]
    together = cast_of(faces_of(codes, [0, 0], [0.0, 2.0]), network)
    apart = cast_of(faces_of(codes, [0, 0], [0.0, 400.0]), network)
    assert [member.tracks for member in together] == [(0, 1)]
    assert [member.tracks for member in apart] == [(0,), (1,)]


def test_tracks_of_one_frame_are_two_people() -> None:
    code = np.random.default_rng(3).standard_normal(128)
    faces = faces_of([code, code], [0, 0])
    faces["frame"] = faces["frame"] % FRAMES
    assert len(cast_of(faces)) == 2
