"""Faces from frame to frame: where the track is sure there is no search, only one look where the face should be.

A track ends where there is doubt whose face it is: at a cut, where a face is lost, where it stops to look like the
frame before, where two faces meet and where they part again. Whose tracks are one person's is decided afterwards,
from all of them (:mod:`likeness.reconstruct.cast`). The detector searches for new faces now and then, more often
where nobody is seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from likeness.geometry.crop import Crop
from likeness.images.video import Frame
from likeness.reconstruct.proposals import crop_from_landmarks, find_faces
from likeness.reconstruct.reconstructor import Reconstructor
from likeness.reconstruct.result import Reconstruction
from likeness.reconstruct.search import AGAIN, SAME_FACE, Face, overlap
from likeness.reconstruct.whitening import compared_codes

FOLLOWED = 0.9
"""The network's score of one look that is enough where a face was seen a frame before."""

SEARCH, SEARCH_LOST, MISSED = 1.0, 0.15, 2.0
"""Seconds from one search to the next, where somebody is seen and where nobody is or somebody was lost less than the
last number of seconds ago."""

THUMBNAIL, CUT = (32, 18), 30.0
"""Of a cut the mean grey levels (of 255) by which thumbnails of two frames differ."""

MEETING = 0.15
"""The share of the smaller face's box that two faces have in common when they meet."""

UNLIKE = 3.5
"""Log likelihood ratio, one person against two, of a face's resemblance to the frame before under which it is
somebody else: frames that follow each other are far more alike than photos of a person (docs/video.md)."""

MEMORY = 0.5
"""Seconds for which a movement is believed to go on."""


@dataclass(frozen=True, eq=False)
class Track:
    """A face that is followed.

    Args:
        number: of the track, from 0.
        time: seconds, of the last frame that shows it.
        landmarks: (68, 2) pixels, there.
        head_up: (2,) the way to the top of the head, pixels.
        velocity: (2,) pixels a second.
        identity, features: (K,) of the last face.
        meets: whether it met another face there.
    """

    number: int
    time: float
    landmarks: np.ndarray
    head_up: np.ndarray
    velocity: np.ndarray
    identity: np.ndarray
    features: np.ndarray
    meets: bool = False

    @classmethod
    def of(cls, face: Reconstruction, number: int, time: float, before: Track | None = None) -> Track:
        """The track of a face; ``before``: of the same face in an earlier frame."""
        velocity = np.zeros(2)
        if before is not None:
            moved = face.landmarks.mean(0) - before.landmarks.mean(0)
            velocity = moved / max(time - before.time, 1e-3)
        features = face.coefficients.identity if face.cues is None else face.cues.features
        head_up = np.asarray(face.rotation[:2, 1], np.float64)
        identity, features = (np.asarray(code, np.float64) for code in (face.coefficients.identity, features))
        return cls(number, time, np.asarray(face.landmarks, np.float64), head_up, velocity, identity, features)

    def expected(self, time: float) -> np.ndarray:
        """Landmarks (68, 2) where they should be at a time."""
        return self.landmarks + self.velocity * min(time - self.time, MEMORY)


@dataclass(frozen=True, eq=False)
class Memory:
    """What a tracker knows between two frames.

    Args:
        tracks: that are followed.
        following: the number of the next track.
        scene: grows by one at a cut, and where a face is suddenly somebody else's.
        searched: seconds, when the detector searched last.
        lost: seconds, when a face was lost last.
        thumbnail: of the last frame, grey.
    """

    tracks: tuple[Track, ...] = ()
    following: int = 0
    scene: int = 0
    searched: float = -np.inf
    lost: float = -np.inf
    thumbnail: np.ndarray | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """For a file."""
        found = {name: np.array(getattr(self, name)) for name in ("following", "scene", "searched", "lost")}
        if self.thumbnail is not None:
            found["thumbnail"] = self.thumbnail
        for name in Track.__dataclass_fields__ if self.tracks else ():
            found[f"track_{name}"] = np.stack([np.asarray(getattr(track, name)) for track in self.tracks])
        return found

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Memory:
        """What :meth:`arrays` made."""
        columns = {name: arrays.get(f"track_{name}", np.zeros(0)) for name in Track.__dataclass_fields__}
        tracks = [
            Track(**{name: column[row] for name, column in columns.items()}) for row in range(len(columns["number"]))
        ]
        tracks = [replace(one, number=int(one.number), time=float(one.time), meets=bool(one.meets)) for one in tracks]
        return cls(
            tuple(tracks),
            int(arrays["following"]),
            int(arrays["scene"]),
            float(arrays["searched"]),
            float(arrays["lost"]),
            arrays.get("thumbnail"),
        )


class Tracker:
    """Follows the faces of one video, frame by frame in order.

    Args:
        reconstructor: looks at faces.
        memory: of the frames before; None: there are none.
    """

    def __init__(self, reconstructor: Reconstructor, memory: Memory | None = None) -> None:
        self.reconstructor, self.memory = reconstructor, memory or Memory()
        self.network = reconstructor.network.digest

    def __call__(self, frame: Frame) -> list[tuple[int, Reconstruction]]:
        """The faces of a frame, each with the number of its track."""
        memory, thumbnail = self.memory, _thumbnail(frame.image)
        is_cut = memory.thumbnail is not None and bool(np.abs(thumbnail - memory.thumbnail).mean() > CUT)
        tracks = () if is_cut else memory.tracks
        seen = self._followed(frame, tracks)
        is_lost = len(seen) < len(memory.tracks)
        lost, searched = frame.time if is_lost and not is_cut else memory.lost, memory.searched
        often = not seen or frame.time - lost < MISSED
        if is_cut or is_lost or frame.time - searched >= (SEARCH_LOST if often else SEARCH) - 1e-6:
            new = appeared(self.reconstructor, frame.image, [face.landmarks for _, face in seen])
            seen = _apart([*seen, *((None, face) for face in new)], self.network)
            searched = frame.time
        begun = replace(memory, scene=memory.scene + is_cut, searched=searched, lost=lost, thumbnail=thumbnail)
        self.memory, found = _remembered(begun, frame.time, seen, self.network)
        return found

    def _followed(self, frame: Frame, tracks: tuple[Track, ...]) -> list[tuple[Track | None, Reconstruction]]:
        """Tracks that still show a face, with it."""
        size = self.reconstructor.network.size
        crops = [
            crop_from_landmarks(track.expected(frame.time), size, upright=True, head_up=track.head_up)
            for track in tracks
        ]
        faces = follow(self.reconstructor, frame.image, crops) if crops else []
        return _apart(
            [(track, face) for track, face in zip(tracks, faces, strict=True) if face is not None], self.network
        )


def follow(reconstructor: Reconstructor, image: np.ndarray, crops: list[Crop]) -> list[Reconstruction | None]:
    """Faces in crops of a video's next frame that lie about where they should: one look at each, and four at one
    that is doubtful; None where there is no face any more.

    Args:
        reconstructor: looks.
        image: (H, W, 3) uint8 RGB, upright.
        crops: N, turned as the heads are.
    """

    def found(face: Face) -> Reconstruction | None:
        if face.score < FOLLOWED or face.has_strayed():
            if face.score < AGAIN:
                return None
            (face,) = reconstructor.regress(image, [face.next_crop()], final=True)
        if face.score < reconstructor.min_score:
            return None
        return reconstructor.carry_back(face, image, None, "frame")

    return [found(face) for face in reconstructor.regress(image, crops)]


def appeared(reconstructor: Reconstructor, image: np.ndarray, known: list[np.ndarray]) -> list[Reconstruction]:
    """Faces of a video's frame that are not known yet, best first.

    Args:
        reconstructor: looks.
        image: (H, W, 3) uint8 RGB, upright.
        known: landmarks (68, 2) of each face that is.
    """
    proposals = [
        one
        for one in find_faces(image, yunet_model=reconstructor.yunet_model)
        if not any((points.min(0) < one.center).all() and (one.center < points.max(0)).all() for points in known)
    ]
    faces = reconstructor.confirmed(image, proposals, False)
    return [reconstructor.carry_back(face, image, None, "frame") for face in faces]


def _remembered(
    memory: Memory, time: float, seen: list[tuple[Track | None, Reconstruction]], network: str
) -> tuple[Memory, list[tuple[int, Reconstruction]]]:
    """What to know in the next frame, and the faces with the numbers of their tracks."""
    following, scene, tracks, found = memory.following, memory.scene, [], []
    boxes = [face.landmarks for _, face in seen]
    for row, (track, face) in enumerate(seen):
        meets = any(overlap(boxes[row], box) >= MEETING for other, box in enumerate(boxes) if other != row)
        now = Track.of(face, -1, time, track)
        is_same = track is None or _alike(track, now, network) >= UNLIKE
        goes_on = track is not None and track.meets == meets and is_same
        number = track.number if track is not None and goes_on else following
        following += not goes_on
        scene += not is_same
        tracks.append(replace(now, number=number, meets=meets))
        found.append((number, face))
    return replace(memory, tracks=tuple(tracks), following=following, scene=scene), found


def _alike(before: Track, now: Track, network: str) -> float:
    """Log likelihood ratio, one person against two, of faces by one network (sha256 of its file)."""
    kinds = (np.stack([getattr(before, kind), getattr(now, kind)]) for kind in ("identity", "features"))
    alike, evidence = compared_codes(network, *kinds)
    return float(evidence(alike[0, 1], 1.0))


def _apart(
    seen: list[tuple[Track | None, Reconstruction]], network: str
) -> list[tuple[Track | None, Reconstruction]]:
    """Without what ended on the face of another: there the track stays that looks more like the face."""

    def belief(one: tuple[Track | None, Reconstruction]) -> float:
        track, face = one
        return -np.inf if track is None else _alike(track, Track.of(face, -1, 0.0), network)

    kept: list[tuple[Track | None, Reconstruction]] = []
    for one in sorted(seen, key=belief, reverse=True):
        if all(overlap(one[1].landmarks, other.landmarks) < SAME_FACE for _, other in kept):
            kept.append(one)
    return sorted(kept, key=lambda one: np.inf if one[0] is None else one[0].number)


def _thumbnail(image: np.ndarray) -> np.ndarray:
    import cv2

    small = cv2.resize(image, THUMBNAIL, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).mean(-1)
