"""Laws of stage 1: isometric coordinates, exact starts, expressions ignored, representation kept, exact resume."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")

from likeness import FaceModel, FileError  # noqa: E402
from likeness.model.codes import ShapeEncoder, codes_of_vertices, importance  # noqa: E402
from likeness.model.identity import SphereSpace  # noqa: E402
from likeness.train.scans.meshes import Reduction, RegisteredMeshes, read_meshes, sample_meshes  # noqa: E402
from likeness.train.scans.trainer import CHECKPOINT, ScanTrainer, start, train_scans, unspanned  # noqa: E402
from likeness.train.settings import Progress, ScanLossWeights, ScanSettings  # noqa: E402

SIZE = 8


@pytest.fixture(scope="module")
def meshes(small_model: FaceModel) -> RegisteredMeshes:
    return sample_meshes(small_model, small_model, people=90, held_out=30, seed=0)


def quick(**changes: object) -> ScanSettings:
    defaults = {"size": SIZE, "budget": 6000, "people": 20, "coordinates": 60, "log_every": 10, "save_seconds": 0.0}
    return ScanSettings(**{**defaults, **changes})  # type: ignore[arg-type]


def test_sampled_people_are_neutral_first_and_held_out_whole(meshes: RegisteredMeshes) -> None:
    assert len(meshes.vertices) == 90 * 5
    assert meshes.at_rest.sum() == 90
    assert not set(meshes.identity[meshes.held_out]) & set(meshes.identity[~meshes.held_out])
    with pytest.raises(ValueError, match="held out"):
        RegisteredMeshes(meshes.vertices, meshes.identity, meshes.weights, np.arange(450) % 2 == 0)


def test_the_reduction_is_an_isometry_where_it_reaches(small_model: FaceModel, meshes: RegisteredMeshes) -> None:
    reduction = Reduction.of(meshes, small_model, 64)
    weights = importance(small_model.mean, small_model.topology.triangles, small_model.topology.regions)
    a, b = meshes.vertices[3], meshes.vertices[77]
    rms = np.sqrt((((a - b) ** 2).sum(-1) * weights).sum() / weights.sum())
    np.testing.assert_allclose(np.linalg.norm(reduction.reduce(a) - reduction.reduce(b)), rms, rtol=1e-3)
    np.testing.assert_allclose(reduction.center + reduction.expand(reduction.reduce(a)), a, atol=0.05)
    # Expressions are spanned whatever the size: they are subtracted in these coordinates.
    few = Reduction.of(meshes, small_model, 5)
    moves = small_model.expression_basis
    np.testing.assert_allclose(few.expand(few.offsets(moves)), moves, atol=1e-2)


def test_mirroring_and_roughness_are_those_of_the_mesh(small_model: FaceModel, meshes: RegisteredMeshes) -> None:
    from likeness.register import graph_laplacian

    reduction = Reduction.of(meshes, small_model, 64)
    field = small_model.identity_basis[2]
    there = reduction.offsets(field)
    laplacian = graph_laplacian(small_model.topology.triangles, len(field))
    bent = ((laplacian @ field) ** 2).sum() / len(field)
    assert there @ reduction.roughness(small_model.topology.triangles) @ there == pytest.approx(bent, rel=1e-2)
    mirror = small_model.topology.mirror
    assert mirror is not None
    twice = reduction.mirroring(mirror) @ reduction.mirroring(mirror)
    assert np.abs(there @ twice - there).max() < 0.35 * np.abs(there).max()


def test_the_lift_start_is_pca_and_the_pca_start_is_no_worse(
    small_model: FaceModel, meshes: RegisteredMeshes
) -> None:
    neutral = Reduction.of(meshes, small_model, 64).reduce(meshes.vertices[meshes.at_rest])
    neutral -= neutral.mean(0)
    directions = np.linalg.svd(neutral, full_matrices=False)[2][: SIZE - 1]
    pca = np.linalg.norm(neutral - neutral @ directions.T @ directions, axis=1)
    for name in ("lift", "pca"):
        basis, codes = start(neutral, quick(start=name))
        np.testing.assert_allclose(np.linalg.norm(codes, axis=1), np.sqrt(SIZE), rtol=1e-6)
        error = np.linalg.norm(neutral - codes @ basis, axis=1)
        if name == "lift":
            inside = codes[:, -1] > 1e-3
            np.testing.assert_allclose(error[inside], pca[inside], rtol=1e-4)
        else:
            assert error.mean() <= pca.mean() * 1.02


def test_unspanned_is_0_for_closed_and_1_for_foreign_spans() -> None:
    basis = torch.eye(6, dtype=torch.float64)[:3] * torch.tensor([[5.0], [1.0], [0.01]])
    mixed = torch.randn(3, 3, dtype=torch.float64) @ basis
    assert unspanned(mixed, basis).item() == pytest.approx(0, abs=1e-3)
    assert unspanned(torch.eye(6, dtype=torch.float64)[3:], basis).item() == pytest.approx(1, abs=1e-6)


def test_all_terms_have_gradients_of_finite_differences(small_model: FaceModel, meshes: RegisteredMeshes) -> None:
    torch.manual_seed(0)  # the direction that is looked along must not depend on what ran before
    trainer = ScanTrainer(quick(), meshes, small_model)
    with torch.no_grad():  # away from the start, where the change of the basis is 0
        trainer.net.basis += 0.05 * torch.randn_like(trainer.net.basis)
    batch = trainer._batch(0)
    step, direction = 1e-2, torch.randn_like(trainer.net.basis)
    for name in ("rec", "encoded", "smooth", "mirror", "decorrelate"):
        trainer.net.zero_grad()
        trainer.losses(*batch)[name].backward()
        slope = (trainer.net.basis.grad * direction).sum().item()
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                trainer.net.basis += sign * step * direction
                values.append(trainer.losses(*batch)[name].item())
                trainer.net.basis -= sign * step * direction
        assert slope == pytest.approx((values[0] - values[1]) / (2 * step), rel=0.05, abs=2e-3), name


def test_training_keeps_representation_and_learns_to_ignore_expressions(
    small_model: FaceModel, meshes: RegisteredMeshes, tmp_path: Path
) -> None:
    made = train_scans(quick(budget=12_000), meshes, small_model)
    assert isinstance(made.model.space, SphereSpace)
    # So few dimensions leave the sphere little room: a code's natural length varies by a quarter at K = 8.
    assert made.figures["sphere_mm"] <= 1.1 * made.figures["pca_less_one_mm"]
    apart = meshes.subset(meshes.held_out)
    codes = made.encoder(apart.vertices)
    neutral, posed = codes[apart.at_rest], codes[~apart.at_rest]
    who, probes = apart.identity[apart.at_rest], apart.identity[~apart.at_rest]
    nearest = made.model.space.distance(posed[:, None], neutral[None]).argmin(1)
    learned = (who[nearest] == probes).mean()
    plain = codes_of_vertices(small_model, apart.vertices).identity
    distance = np.linalg.norm(plain[~apart.at_rest][:, None] - plain[apart.at_rest][None], axis=-1)
    untrained = (who[distance.argmin(1)] == probes).mean()
    assert learned > max(0.9, untrained)
    made.save(tmp_path / "sphere.npz")
    loaded = FaceModel.load(tmp_path / "sphere.npz")
    np.testing.assert_allclose(loaded.vertices(codes[:3]), made.model.vertices(codes[:3]), atol=0.02)
    encoder = ShapeEncoder.load(tmp_path / "sphere.encoder.npz")
    np.testing.assert_allclose(encoder(apart.vertices[:3]), codes[:3], atol=1e-3)  # of single precision
    assert json.loads((tmp_path / "sphere.json").read_text())["kept"] == made.kept


def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(
    small_model: FaceModel, meshes: RegisteredMeshes, tmp_path: Path
) -> None:
    whole = train_scans(quick(out=tmp_path / "whole"), meshes, small_model)

    class KilledError(Exception):
        pass

    def kill(progress: Progress) -> None:
        if progress.step == 50:
            raise KilledError

    with pytest.raises(KilledError):
        train_scans(quick(out=tmp_path / "cut"), meshes, small_model, kill)
    resumed = train_scans(quick(out=tmp_path / "cut", resume=True), meshes, small_model)
    np.testing.assert_allclose(resumed.model.identity_basis, whole.model.identity_basis, atol=1e-5)
    np.testing.assert_allclose(resumed.encoder.matrix, whole.encoder.matrix, atol=1e-5)
    with pytest.raises(FileError, match="budget"):
        train_scans(quick(out=tmp_path / "cut", resume=True, budget=9000), meshes, small_model)
    (tmp_path / "cut" / CHECKPOINT).write_bytes(b"damaged")
    with pytest.raises(FileError, match=CHECKPOINT):
        train_scans(quick(out=tmp_path / "cut", resume=True), meshes, small_model)


def test_without_uniformity_codes_crowd(small_model: FaceModel, meshes: RegisteredMeshes) -> None:
    """Least squares alone parks what the sphere's length leaves over in a few directions."""
    plain = ScanLossWeights(uniform=0.0, identity=0.0)
    with_it = replace(plain, uniform=0.5)
    figures = [
        train_scans(quick(weights=w, learning_rate=3e-3), meshes, small_model).figures for w in (plain, with_it)
    ]
    assert figures[1]["uniformity"] < figures[0]["uniformity"]


def test_a_folder_of_meshes_is_read_by_its_table(small_model: FaceModel, tmp_path: Path) -> None:
    rows = ["file,identity,expression,held_out"]
    rng = np.random.default_rng(1)
    for person in range(3):
        code = small_model.space.sample(1, rng)[0]
        for label in ("neutral", "jawOpen:0.5 mouthSmileLeft:1", "grimace"):
            name = f"{person}-{len(rows)}.obj"
            small_model.mesh(code).save(tmp_path / name)
            rows.append(f"{name},p{person},{label},{int(person == 2)}")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    found = read_meshes(tmp_path, small_model)
    assert found.identity.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert found.at_rest.tolist() == [True, False, False] * 3
    assert found.weights[1, small_model.expression_names.index("jawOpen")] == 0.5
    assert np.isnan(found.weights[2]).all()
    assert found.held_out.tolist() == [False] * 6 + [True] * 3
    small_model.mesh(small_model.space.sample(1, rng)[0]).save(tmp_path / "0-1.obj")
    (tmp_path / "0-1.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    with pytest.raises(FileError, match=r"0-1\.obj.*282 vertices"):
        read_meshes(tmp_path, small_model)


def test_unusable_data_is_named(small_model: FaceModel, meshes: RegisteredMeshes, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        read_meshes(tmp_path / "nothing", small_model)
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match=r"table\.csv"):
        read_meshes(tmp_path / "folder", small_model)
    np.savez(tmp_path / "half.npz", vertices=meshes.vertices)
    with pytest.raises(FileError, match=r"half\.npz"):
        read_meshes(tmp_path / "half.npz", small_model)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(FileError, match=r"text\.npz"):
        read_meshes(tmp_path / "text.npz", small_model)
    with pytest.raises(ValueError, match="size"):
        train_scans(quick(size=400), meshes, small_model)


def test_a_model_or_an_archive_may_be_the_data(
    small_model: FaceModel, meshes: RegisteredMeshes, tmp_path: Path
) -> None:
    small_model.save(tmp_path / "model.npz")
    drawn = read_meshes(tmp_path / "model.npz", small_model, people=12, held_out=2)
    assert len(drawn.vertices) == 60
    assert drawn.held_out.sum() == 10
    np.savez(tmp_path / "meshes.npz", **vars(meshes))
    np.testing.assert_array_equal(read_meshes(tmp_path / "meshes.npz", small_model).vertices, meshes.vertices)
