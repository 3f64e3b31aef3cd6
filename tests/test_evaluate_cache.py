"""A killed run goes on where it was, and a damaged entry is computed anew, never trusted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluate_data import NOBODY, annotated, codes_of, photo, predictor, write_photos

from likeness import FaceModel, FileError
from likeness.datasets.test_sets import open_photos
from likeness.evaluate.cache import Cache, key_of
from likeness.evaluate.predictions import predict


def entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    arrays = {"a": np.arange(5, dtype=np.float32), "name": np.array("no face"), "empty": np.zeros((0, 3))}
    cache.store(key_of("x"), arrays)
    found = cache.load(key_of("x"))
    assert found is not None
    for name, values in arrays.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype
    assert cache.load(key_of("y")) is None
    assert (cache.hits, cache.damaged) == (1, 0)


@pytest.mark.parametrize("damage", ["empty", "short", "changed", "foreign", "digest only"])
def test_damaged_entries_count_as_not_there(tmp_path: Path, damage: str) -> None:
    import hashlib

    cache = Cache(tmp_path)
    cache.store(key_of("x"), {"a": np.arange(50)})
    path = entries(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    content = {
        "empty": b"",
        "short": bytes(data[:-9]),
        "changed": bytes(data),
        "foreign": b"x" * 300,
        "digest only": hashlib.sha256(b"no archive").digest() + b"no archive",
    }
    path.write_bytes(content[damage])
    assert cache.load(key_of("x")) is None
    assert cache.damaged == 1


def test_a_killed_run_goes_on(small_model: FaceModel, tmp_path: Path) -> None:
    items = open_photos(write_photos(tmp_path / "photos")).items
    killed, _ = predictor(small_model, dies_at=4)
    with pytest.raises(KeyboardInterrupt):
        predict(items, killed, Cache(tmp_path / "cache"))
    assert len(entries(tmp_path / "cache")) == 4
    again, fake = predictor(small_model)
    seen = []
    found = predict(items, again, Cache(tmp_path / "cache"), lambda *step: seen.append(step))
    assert fake.calls == len(items) - 4
    assert seen[-1] == ("photos", 9, 9)
    for prediction, (person, number) in zip(found, [(p, n) for p in range(3) for n in range(3)], strict=True):
        assert prediction.face is not None
        np.testing.assert_array_equal(prediction.face.identity, codes_of(small_model, person, number))
    third, fake = predictor(small_model)
    predict(items, third, Cache(tmp_path / "cache"))
    assert fake.calls == 0


def test_a_damaged_entry_is_computed_anew(small_model: FaceModel, tmp_path: Path) -> None:
    items = open_photos(write_photos(tmp_path / "photos")).items
    first, _ = predictor(small_model)
    before = predict(items, first, Cache(tmp_path / "cache"))
    for path in entries(tmp_path / "cache")[:2]:
        data = bytearray(path.read_bytes())
        data[200] ^= 0xFF
        path.write_bytes(bytes(data))
    again, fake = predictor(small_model)
    cache = Cache(tmp_path / "cache")
    after = predict(items, again, cache)
    assert (fake.calls, cache.damaged) == (2, 2)
    for one, other in zip(before, after, strict=True):
        assert one.face is not None
        assert other.face is not None
        np.testing.assert_array_equal(one.face.identity, other.face.identity)


def test_another_network_content_or_annotation_is_another_result(small_model: FaceModel, tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 1, 2)
    cache = Cache(tmp_path / "cache")
    first, _ = predictor(small_model, "one network")
    predict(open_photos(folder).items, first, cache)
    other, fake = predictor(small_model, "another")
    predict(open_photos(folder).items, other, cache)
    assert fake.calls == 2
    (folder / "p0" / "0.png").write_bytes(photo(2, 2))
    (folder / "p0" / "1.png").rename(folder / "p0" / "renamed.png")
    same, fake = predictor(small_model, "one network")
    found = predict(open_photos(folder).items, same, cache)
    assert fake.calls == 1  # names do not matter, contents do
    assert found[0].face is not None
    np.testing.assert_array_equal(found[0].face.identity, codes_of(small_model, 2, 2))
    (folder / "p0" / "0.json").write_text('{"landmarks": ' + str([[9.0 + i, 9.0 + i % 7] for i in range(68)]) + "}")
    predict(open_photos(folder).items, same, cache)
    assert fake.calls == 2


def test_an_entry_of_another_model_is_not_used(small_model: FaceModel, tmp_path: Path) -> None:
    items = open_photos(write_photos(tmp_path / "photos", 1, 1)).items
    cache = Cache(tmp_path / "cache")
    first, _ = predictor(small_model)
    predict(items, first, cache)
    path = entries(tmp_path / "cache")[0]
    arrays = cache.load(path.stem)
    assert arrays is not None
    cache.store(path.stem, {**arrays, "identity": np.full(12, np.nan, np.float32)})
    again, fake = predictor(small_model)
    found = predict(items, again, cache)
    assert fake.calls == 1
    assert found[0].face is not None


def test_photos_without_a_face_and_unreadable_ones_are_told_apart(small_model: FaceModel, tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 1, 1)
    (folder / "p0" / "nobody.png").write_bytes(photo(NOBODY, 0))
    (folder / "p0" / "text.png").write_text("no photo")
    one, fake = predictor(small_model)
    cache = Cache(tmp_path / "cache")
    for _ in range(2):
        found = {p.item.name: p for p in predict(open_photos(folder).items, one, cache)}
        assert found["p0/0"].face is not None
        assert (found["p0/nobody"].reason, found["p0/nobody"].missed) == ("no face found", True)
        assert "text.png" in found["p0/text"].reason
        assert not found["p0/text"].missed
    assert fake.calls == 4  # two photos, and the damaged one twice


def test_the_annotated_face_is_taken(small_model: FaceModel, tmp_path: Path) -> None:
    items = open_photos(annotated(tmp_path / "a.tar", 1, 1)).items
    one, fake = predictor(small_model)

    def two_faces(source: object, **options: object) -> list[object]:
        (face,) = fake(source)
        far = type(face)(**{**vars(face), "landmarks": face.landmarks + 500})
        return [far, face]

    found = predict(items, type(one)(two_faces, small_model, "x"))
    assert found[0].face is not None
    assert found[0].face.faces == 2
    assert found[0].face.landmarks.max() < 100
    far_only = predict(items, type(one)(lambda *a, **k: two_faces(*a, **k)[:1], small_model, "y"))
    assert far_only[0].missed
    crops = type(one)(one.reconstruct, small_model, "z", annotated_crops=True)
    assert predict(items, crops)[0].face is not None
    assert fake.given[-1].shape == (1, 68, 2)


def test_a_cache_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileError, match="file"):
        Cache(tmp_path / "file" / "cache")
