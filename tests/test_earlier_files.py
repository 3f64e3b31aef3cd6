"""Models, results, caches and checkpoints of the version before stay readable (see `data/README.md`)."""

from __future__ import annotations

import json
import lzma
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness.assets import asset
from likeness.evaluate.cache import Cache, key_of
from likeness.evaluate.saved_results import read_results
from likeness.model.face_model import ARKIT_NAMES, FaceModel

EARLIER = Path(__file__).parent / "data" / "version_0_1"


def test_a_saved_model_is_read_and_written_alike(tmp_path: Path) -> None:
    model = FaceModel.load(EARLIER / "face_model.npz")
    assert (model.name, model.mean.shape, model.identity_basis.shape) == ("small", (42, 3), (12, 42, 3))
    assert model.expression_names == ARKIT_NAMES[:8]
    assert model.landmark_map.candidates == 3
    assert (model.topology.mirror is not None, "face" in model.topology.regions) == (True, True)
    model.save(tmp_path / "again.npz")
    with np.load(EARLIER / "face_model.npz") as old, np.load(tmp_path / "again.npz") as new:
        assert set(old.files) == set(new.files)
        for name in old.files:
            np.testing.assert_array_equal(old[name], new[name])


def test_results_are_read_with_the_embedded_model() -> None:
    model = FaceModel.load(asset("face_model.npz"))
    content = json.loads((EARLIER / "results" / "ann" / "astronaut.json").read_text())
    (prediction,), excluded = read_results(EARLIER / "results", model)
    assert (excluded, prediction.item.identity, prediction.item.name) == ([], "ann", "ann/astronaut")
    assert prediction.face is not None
    np.testing.assert_array_equal(prediction.face.identity, np.array(content["identity"], np.float32))
    np.testing.assert_array_equal(prediction.face.landmarks, np.array(content["landmarks"], np.float32))


def test_a_cache_entry_is_found_again() -> None:
    cache = Cache(EARLIER / "cache")
    arrays = cache.load(key_of("photo", "network", 0.5, None))
    assert (cache.hits, cache.damaged) == (1, 0)
    assert arrays is not None
    np.testing.assert_array_equal(arrays["identity"], np.arange(4))
    assert arrays["score"] == 0.75


def test_a_training_goes_on_from_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("lightning")
    from train_sources import write_frames

    from likeness.datasets import read_frames
    from likeness.train.checkpoint import CHECKPOINT, load_regressor
    from likeness.train.photos.labels import Sources
    from likeness.train.photos.network import NetSettings
    from likeness.train.photos.trainer import train_photos
    from likeness.train.recipe_settings import Mix
    from likeness.train.recipes import recipe
    from likeness.train.schedule import Schedule
    from likeness.train.settings import PhotoSettings

    plain = NetSettings.for_model

    def narrow(*arguments: Any, **named: Any) -> NetSettings:
        return replace(plain(*arguments, **named), widths=(2, 2, 2, 4), blocks=(1, 1, 1), neck=2, hidden=4)

    monkeypatch.setattr(NetSettings, "for_model", narrow)
    run = tmp_path / "run"
    run.mkdir()
    (run / CHECKPOINT).write_bytes(lzma.decompress((EARLIER / "checkpoint.pt.xz").read_bytes()))
    network, state = load_regressor(run / CHECKPOINT)
    assert (state["step"], state["face_model"]) == (2, "small")
    pixels = torch.zeros((1, 112, 112, 3), dtype=torch.uint8)
    assert network(pixels).identity.shape == (1, 12)
    mix = Mix(frames=2, people=2, each=2, synthetic=0, morphs=0, negatives=1)
    settings = PhotoSettings(
        run,
        Schedule(budget=4 * mix.total, learning_rate=1e-3, pseudo_at=()),
        mix,
        objective=recipe("tikhonov").objective(),
        shrink=4,
        accelerator="cpu",
        threads=1,
        log_every=1,
        resume=True,
    )
    steps = []
    frames = read_frames(write_frames(tmp_path / "frames.tar"))
    sources = Sources(FaceModel.load(EARLIER / "face_model.npz"), frames)
    train_photos(settings, sources, report=lambda progress: steps.append(progress.step))
    assert set(steps) == {3, 4}
    assert load_regressor(run / CHECKPOINT)[1]["step"] == 4
