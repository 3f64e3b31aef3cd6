"""Learned without a single photograph: rendered faces over made backgrounds, and what to believe of their points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from dense_points import small_map  # noqa: E402
from test_train_fusion_run import write_run  # noqa: E402
from train_sources import write_frames, write_synthetic  # noqa: E402

from likeness.cli.main import main  # noqa: E402
from likeness.datasets import SyntheticFaces  # noqa: E402
from likeness.model.face_model import FaceModel  # noqa: E402
from likeness.networks.regressor import Network  # noqa: E402
from likeness.train.checkpoint import CHECKPOINT, load_regressor  # noqa: E402
from likeness.train.photos.batches import TrainBatches  # noqa: E402
from likeness.train.photos.fusion import FIRM, Estimator, linear_estimates  # noqa: E402
from likeness.train.photos.fusion_inputs import FusionInputs  # noqa: E402
from likeness.train.photos.fusion_trainer import EVIDENCE  # noqa: E402
from likeness.train.photos.labels import Sources  # noqa: E402
from likeness.train.photos.samples import SampleMaker  # noqa: E402
from likeness.train.recipes import recipe  # noqa: E402


def test_every_sample_of_a_batch_is_made_of_rendered_faces(small_model: FaceModel, tmp_path: Path) -> None:
    faces = SyntheticFaces(write_synthetic(small_model, tmp_path / "synthetic", 5), small_model)
    asked = recipe("points")
    maker = SampleMaker(Sources(small_model, synthetic=faces, point_map=small_map(small_model)), asked.augment)
    mix = asked.mix.scaled(0.2)
    data = TrainBatches(maker, mix, seed=0)
    images, targets = data[0]
    assert data.counts["negatives"] > 0
    assert len(images) == mix.total
    faces_seen = targets.score > 0
    assert int(faces_seen.sum()) == mix.total - data.counts["negatives"]
    assert bool((targets.shape_gate[faces_seen] == 1.0).all())
    assert bool((targets.dense_weight[faces_seen] > 0).any(1).all())
    assert bool((targets.person == -1).all())
    again, _ = data[0]
    assert torch.equal(images, again)
    assert len({maker.background(np.random.default_rng(seed)).tobytes() for seed in range(4)}) == 4


def test_a_linear_world_is_read_as_much_shorter_as_the_penalty_asks() -> None:
    rng = np.random.default_rng(0)
    known = Estimator(rng.standard_normal((7, 5)), rng.standard_normal(5), rng.standard_normal((2, 5, 5)))
    looks = FusionInputs(rng.normal(2.0, 3.0, (900, 7)), rng.standard_normal((900, 5)), rng.standard_normal((900, 2)))
    fused, plain = linear_estimates(looks, known(looks))
    true = known(looks)
    left = (fused(looks) - fused(looks).mean(0)) * (1 + FIRM) - (true - true.mean(0))
    assert left.std() < 0.06 * true.std()
    np.testing.assert_allclose(fused.matrices * (1 + FIRM), known.matrices, atol=0.15)
    assert not plain.matrices.any()
    other = FusionInputs(looks.features, 100.0 * looks.code, looks.circumstances)
    np.testing.assert_array_equal(plain(other), plain(looks))


def test_the_command_fuses_without_photographs(
    small_model: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnx")
    run, out = write_run(small_model, tmp_path / "run"), tmp_path / "out"
    small_model.save(tmp_path / "model.npz")
    small_map(small_model).save(tmp_path / "map.npz")
    synthetic = write_synthetic(small_model, tmp_path / "synthetic", 30)
    command = ["train", "fusion", run, "-o", out, "--synthetic", synthetic, "--model", tmp_path / "model.npz"]
    command += ["--point-map", tmp_path / "map.npz", "--threads", "1"]
    words = [str(word) for word in command]
    main(words)
    told = capsys.readouterr().out
    assert "learning from 27 rendered faces" in told
    assert "photos" not in told
    assert not (out / EVIDENCE).exists()
    made, state = load_regressor(out / CHECKPOINT)
    before = load_regressor(run / CHECKPOINT)[0]
    assert made.settings.fused == 4
    assert state["fusion"]["figures"]["fused_mm"] > 0
    for name, value in before.state_dict().items():
        assert torch.equal(value, made.state_dict()[name]) == (not name.startswith("heads.identity")), name
    fusion = Network.load(out / "regressor.onnx").fusion
    assert fusion is not None
    np.testing.assert_allclose(fusion.matrices, made.fusion.numpy(), atol=1e-2)
    main([*words, "--resume"])
    assert "rendered 30/30" not in capsys.readouterr().out
    assert torch.equal(load_regressor(out / CHECKPOINT)[0].fusion, made.fusion)
    with pytest.raises(SystemExit):
        main([*words, "--overwrite", "--data", str(write_frames(tmp_path / "frames.tar", count=6))])
    assert "--point-labels together" in capsys.readouterr().err
