"""The metrics on a real recogniser's embeddings of real frames, where the data lies beside the repository."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from likeness.metrics import Samples, recognisability_of_codes

DATA = Path(__file__).parents[1].parent / "shared" / "data"
TEACHER, FRAMES = DATA / "teacher-mobilefacenet.onnx", DATA / "photos" / "video-val.tar"
FIVE_POINTS = np.array([(30.29, 51.70), (65.53, 51.50), (48.03, 71.74), (33.55, 92.37), (62.73, 92.20)], np.float32)

pytestmark = pytest.mark.skipif(
    not (TEACHER.is_file() and FRAMES.is_file()), reason="the teacher and video frames are not in ../shared/data"
)


@pytest.fixture(scope="module")
def teacher() -> Samples:
    """Embeddings (282, 128) of frames of 30 people, by clip."""
    from likeness.networks.session import open_session

    session = open_session(TEACHER, "a teacher")
    frames: dict[str, dict[str, bytes]] = {}
    with tarfile.open(FRAMES) as archive:
        for member in archive:
            key, _, suffix = member.name.rpartition(".")
            stream = archive.extractfile(member)
            assert stream is not None
            frames.setdefault(key, {})[suffix] = stream.read()
    pixels, people, clips = [], [], []
    for frame in frames.values():
        known = json.loads(frame["json"])
        points = np.array(known["landmarks"], np.float32)
        five = np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])
        image = cv2.imdecode(np.frombuffer(frame["webp"], np.uint8), cv2.IMREAD_COLOR)
        crop = cv2.warpAffine(image, cv2.estimateAffinePartial2D(five, FIVE_POINTS, method=cv2.LMEDS)[0], (96, 112))
        pixels.append(((crop[..., ::-1].astype(np.float32) - 127.5) / 128).transpose(2, 0, 1))
        people.append(str(known["identity"]))
        clips.append(str(known["clip"]))
    codes = [session.run(None, {"image": np.stack(pixels[at : at + 47])})[0] for at in range(0, len(pixels), 47)]
    return Samples(np.concatenate(codes), np.array(people), np.array(clips))


def test_the_recogniser_scores_what_is_known_of_it(teacher: Samples) -> None:
    """AUC 0.97 across clips and a ratio of mean distances of 1.30: measured by other code before this was written."""
    by_cosine = recognisability_of_codes(teacher, measure="cosine", bootstrap=200)
    assert by_cosine.auc.value == pytest.approx(0.97, abs=0.005)
    assert by_cosine.auc.low is not None
    assert by_cosine.auc.low > 0.9
    assert (by_cosine.people, by_cosine.codes, by_cosine.same_group_pairs) == (30, 282, 282)
    assert by_cosine.excluded == ()
    ratio = recognisability_of_codes(teacher, measure="euclidean", bootstrap=0).sir.value
    assert ratio == pytest.approx(1.30, abs=0.01)


def test_shuffled_names_are_at_chance(teacher: Samples) -> None:
    shuffled = Samples(teacher.codes, np.random.default_rng(0).permutation(teacher.labels))
    assert recognisability_of_codes(shuffled, measure="cosine", bootstrap=0).auc.value == pytest.approx(0.5, abs=0.03)
