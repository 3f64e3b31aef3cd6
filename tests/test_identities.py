"""Who is in a picture: one rule, whether training or evaluation asks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.datasets import open_sources
from likeness.datasets.identities import people_of
from likeness.datasets.test_sets import open_photos

CASIA = ["CASIA-WebFace/0000045/001.jpg", "CASIA-WebFace/0000045/002.jpg", "CASIA-WebFace/0000099/001.jpg"]


def test_training_and_evaluation_see_the_same_people(tmp_path) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    for name in CASIA:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 255, (40, 40, 3), np.uint8))
    measured = [item.identity for item in open_photos(tmp_path).items]
    assert measured == ["0000045", "0000045", "0000099"]
    trained = open_sources([tmp_path]).photos
    assert trained is not None
    assert trained.people == 2
    assert trained.person.tolist() == [0, 0, 1]


def test_wrappers_are_nobody_and_clips_are_named() -> None:
    assert people_of(CASIA).identity == ["0000045", "0000045", "0000099"]
    people, clips, *_ = people_of(["a/p/one/1.jpg", "a/p/two/1.jpg", "a/q/1.jpg"])
    assert people == ["p", "p", "q"]
    assert clips == ["p/one", "p/two", None]
    assert people_of(["1.jpg", "p/1.jpg"])[0] == [None, "p"]


@pytest.mark.parametrize(("lone_folder", "person"), [(False, None), (True, "p")])
def test_a_lone_folder_is_a_person_only_of_a_test_set(lone_folder: bool, person: str | None) -> None:
    assert people_of(["set/p/1.jpg", "set/p/2.jpg"], lone_folder=lone_folder)[0] == [person] * 2
    assert people_of(["1.jpg", "2.jpg"], lone_folder=lone_folder)[0] == [None] * 2


@given(st.lists(st.lists(st.sampled_from("pqr"), min_size=1, max_size=3), min_size=1, max_size=6), st.booleans())
def test_a_wrapper_around_everything_changes_nobody(folders: list[list[str]], lone_folder: bool) -> None:
    names = ["/".join([*parts, f"{number}.jpg"]) for number, parts in enumerate(folders)]
    inside = [f"wrapper/{name}" for name in names]
    assert people_of(names, lone_folder=lone_folder) == people_of(inside, lone_folder=lone_folder)
