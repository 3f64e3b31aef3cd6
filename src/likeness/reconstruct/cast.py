"""Tracks of a video -> its people: whose faces they show, and each person's shape from their sharpest frames.

Codes and, between tracks that follow each other closely, movement say which tracks are one person's
(:func:`likeness.reconstruct.grouping.track_groups`); tracks of one frame are two people's. A person's code is fused
as that of several photos is (:func:`likeness.reconstruct.people.fused_identity`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.reconstruct.grouping import track_groups
from likeness.reconstruct.whitening import compared_codes

SHARPEST = 24
"""Frames of a person that the code is fused from, at most, each the sharpest of an equal part of all."""

MOVEMENT = 0.5
"""What is added to the resemblance for a track which goes on where another ended less than :data:`SOON` before in the
same scene, taken away where it begins elsewhere: a share of what photos of one person resemble each other more than
those of two."""

SOON, NEAR = 0.5, 1.0
"""Seconds, and sizes of a face."""

BRIEF = 3
"""Frames of a person under which it is none, unless the video has no more."""


@dataclass(frozen=True, eq=False)
class Member:
    """A person of a video.

    Args:
        tracks: their tracks' numbers.
        rows: (N,) their faces among all, in order of time.
        sharpest: (M,) rows that the code is fused from.
    """

    tracks: tuple[int, ...]
    rows: np.ndarray
    sharpest: np.ndarray


def cast_of(faces: dict[str, Any], network: str = "") -> list[Member]:
    """The people, those with the most frames first.

    Args:
        faces: M of each: ``track``, ``scene``, ``frame``, ``time``, ``identity`` (M, K), ``features`` (M, K),
            ``center`` (M, 2) pixels, ``size`` pixels, ``precision``.
        network: whose codes they are, sha256 of its file; empty: not known.
    """
    track, frame = faces["track"], faces["frame"]
    numbers = np.unique(track)
    rows = [np.flatnonzero(track == number) for number in numbers]
    if not rows:
        return []
    best = [_sharpest(own, faces["precision"]) for own in rows]
    codes = (np.stack([faces[kind][own].mean(0) for own in best]) for kind in ("identity", "features"))
    alike, evidence = compared_codes(network, *codes)
    alike = alike + MOVEMENT * (evidence.same - evidence.other) * _movement(faces, rows)
    first, last = (np.array([frame[own[end]] for own in rows]) for end in (0, -1))
    apart = (first[:, None] <= last[None]) & (first[None] <= last[:, None])
    person = track_groups(alike, apart, evidence)
    least = min(BRIEF, len(np.unique(frame)))
    members = []
    for one in range(person.max() + 1):
        own = np.concatenate([rows[number] for number in np.flatnonzero(person == one)])
        own = own[np.argsort(frame[own], kind="stable")]
        if len(own) >= least:
            tracks = tuple(int(numbers[number]) for number in np.flatnonzero(person == one))
            members.append(Member(tracks, own, _sharpest(own, faces["precision"])))
    return sorted(members, key=lambda member: (-len(member.rows), member.rows[0]))


def _sharpest(rows: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Of each equal part of some rows the one of the highest precision; of parts that are far less precise none."""
    parts: Sequence[np.ndarray] = np.array_split(rows, min(SHARPEST, len(rows)))
    found = np.array([part[np.argmax(precision[part])] for part in parts])
    return found[precision[found] >= 0.5 * np.median(precision[found])]


def _movement(faces: dict[str, Any], rows: list[np.ndarray]) -> np.ndarray:
    """What movement says of pairs of tracks (T, T), from -1 (two people) to 1 (one)."""
    found = np.zeros((len(rows), len(rows)))
    time, center, size = faces["time"], faces["center"], faces["size"]
    for one, before in enumerate(rows):
        back = before[-min(4, len(before)) :]
        passed = max(time[back[-1]] - time[back[0]], 1e-3)
        velocity = (center[back[-1]] - center[back[0]]) / passed if len(back) > 1 else np.zeros(2)
        for other, after in enumerate(rows):
            gap = time[after[0]] - time[before[-1]]
            if 0 < gap <= SOON and faces["scene"][after[0]] == faces["scene"][before[-1]]:
                place = center[before[-1]] + velocity * gap
                apart = float(np.linalg.norm(center[after[0]] - place)) / size[before[-1]]
                found[one, other] = found[other, one] = np.clip(1 - apart / NEAR, -1, 1)
    return found
