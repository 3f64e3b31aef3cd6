"""Laws of moving people between models: their shapes stay, whatever the topology, axes, units and identity space."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from register_scans import code_of
from test_register_transfer import retriangulated

from likeness import FaceModel, cli
from likeness.geometry.rotation import rotation_from_euler
from likeness.mesh import Mesh
from likeness.readers import read_npz

pytest.importorskip("scipy")
pytest.importorskip("igl")

from likeness.register import Correspondence, transfer_shape

TURN, SHIFT = rotation_from_euler(0.4, 0.2, -0.3), np.array([10.0, 200, -50])


def weights_of(*chosen: int) -> np.ndarray:
    weights = np.zeros(52, np.float32)
    weights[list(chosen)] = 0.7
    return weights


@pytest.fixture(scope="module")
def dense(small_model: FaceModel) -> FaceModel:
    return retriangulated(small_model, SHIFT, TURN)


@pytest.fixture(scope="module")
def pairs(small_model: FaceModel, dense: FaceModel) -> Correspondence:
    return Correspondence.between(dense, small_model)


def largest(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(found - truth, axis=-1).max())


@pytest.mark.parametrize("lifted", [False, True])
@pytest.mark.parametrize("known_rest", [False, True])
def test_a_person_of_the_same_model_is_found_again_in_any_pose(
    small_model: FaceModel, lifted: bool, known_rest: bool
) -> None:
    model = small_model.lifted() if lifted else small_model
    same = Correspondence.between(small_model, model)
    assert same.how == "same vertices"
    code, weights = code_of(small_model, 3), weights_of(3, 17)
    rest, smiling = small_model.vertices(code), small_model.vertices(code, weights)
    found = transfer_shape(model, same, smiling @ TURN.T + SHIFT, rest @ TURN.T + SHIFT if known_rest else None)
    assert found.rms < 0.1
    assert largest(model.vertices(found.identity), rest) < (0.3 if known_rest else 1.0)
    assert largest(found.vertices, smiling) < 0.5
    assert found.expression.min() >= 0
    if known_rest:
        np.testing.assert_allclose(found.expression, weights, atol=0.05)
    np.testing.assert_allclose(found.model_from_source.rotation @ TURN, np.eye(3), atol=0.01)


def test_the_neutral_shape_alone_decides_on_the_code(small_model: FaceModel) -> None:
    same = Correspondence.between(small_model, small_model)
    code = code_of(small_model, 4)
    rest = small_model.vertices(code)
    for weights in (weights_of(), weights_of(5), weights_of(1, 40)):
        found = transfer_shape(small_model, same, small_model.vertices(code, weights), rest)
        np.testing.assert_allclose(found.identity, code, atol=0.02)


def test_between_topologies_and_back(small_model: FaceModel, dense: FaceModel, pairs: Correspondence) -> None:
    back = Correspondence.between(small_model, dense)
    assert pairs.how == back.how == "small"
    code, weights = code_of(small_model, 5), weights_of(7)
    face = small_model.topology.regions["face"]
    shape, rest = dense.vertices(code, weights), dense.vertices(code)
    there = transfer_shape(small_model, pairs, shape, rest)
    assert there.rms < 0.3
    assert largest(there.vertices[face], small_model.vertices(code, weights)[face]) < 1.0
    again = transfer_shape(dense, back, there.vertices, small_model.vertices(there.identity))
    assert again.rms < 0.3
    assert float(np.median(np.linalg.norm(again.vertices - shape, axis=1))) < 0.5


def test_two_models_without_regions_meet_on_the_embedded_one(
    small_model: FaceModel, dense: FaceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from likeness.register import coefficients

    monkeypatch.setattr(coefficients, "_embedded", lambda: replace(small_model, name="third"))
    bare = replace(small_model, topology=replace(small_model.topology, regions={}))
    found = Correspondence.between(dense, bare)
    assert found.how == "third"
    apart = (found.source.of(dense.mean) - SHIFT) @ TURN - found.target.of(bare.mean)
    assert np.median(np.linalg.norm(apart, axis=1)) < 0.2


def test_vertices_are_shared_without_triangles_where_the_means_agree(small_model: FaceModel) -> None:
    empty = np.zeros((0, 3), np.int32)
    bare = replace(small_model, topology=replace(small_model.topology, triangles=empty, uv_triangles=empty))
    moved = replace(bare, mean=(bare.mean @ TURN.T + SHIFT).astype(np.float32))
    same = Correspondence.between(moved, small_model)
    assert same.how == "same vertices"
    other = replace(bare, mean=bare.mean[::-1].copy())
    with pytest.raises(ValueError, match="has none and shares no vertices"):
        Correspondence.between(other, small_model)
    with pytest.raises(ValueError, match="finite vertices"):
        transfer_shape(small_model, same, np.full_like(small_model.mean, np.nan))
    with pytest.raises(ValueError, match="at least 282"):
        transfer_shape(small_model, same, small_model.mean[:-1])


def test_the_prior_holds_where_the_points_say_nothing(small_model: FaceModel) -> None:
    same = Correspondence.between(small_model, small_model)
    quarter = small_model.mean[:, 1] > 0
    few = replace(same, weights=np.where(quarter, same.weights, 0) / same.weights[quarter].sum())
    noisy = small_model.mean + np.random.default_rng(0).normal(0, 0.3, small_model.mean.shape)
    found = transfer_shape(small_model, few, noisy, noisy)
    assert np.linalg.norm(found.identity) < np.sqrt(len(found.identity))


@pytest.fixture
def files(small_model: FaceModel, tmp_path: Path) -> tuple[Path, Path]:
    small_model.save(tmp_path / "a.npz")
    replace(small_model.lifted(), name="b").save(tmp_path / "b.npz")
    return tmp_path / "a.npz", tmp_path / "b.npz"


def run(*arguments: object) -> int:
    try:
        cli.main(["models", "transfer", *map(str, arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_the_command_moves_codes_and_meshes(
    files: tuple[Path, Path], small_model: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, weights = code_of(small_model, 6), weights_of(9)
    codes = {
        "identity": code.tolist(),
        "expression": dict(zip(small_model.expression_names, weights.tolist(), strict=True)),
    }
    (tmp_path / "me.json").write_text(json.dumps(codes))
    shape = small_model.vertices(code, weights)
    metres = shape.astype(np.float64) @ TURN.T / 1000
    Mesh(metres, small_model.topology.triangles).save(tmp_path / "scan.obj")
    people = small_model.space.sample(3, np.random.default_rng(2))
    np.savez(tmp_path / "many.npz", identity=people)
    out = tmp_path / "out"
    names = ("me.json", "scan.obj", "many.npz")
    assert run(*files, *(tmp_path / name for name in names), "-o", out, "--formats", "obj", "glb", "json") == 0
    told = capsys.readouterr().out
    assert "small -> b: 282 points in common (same vertices)" in told
    assert "me: 0.0" in told
    assert "many: 3 people, 0.0" in told
    result = json.loads((out / "me.json").read_text())
    assert result["model"] == "b"
    assert result["rms_mm"] < 0.1
    target = FaceModel.load(files[1])
    found = target.vertices(np.array(result["identity"]), np.array(list(result["expression"].values())))
    assert largest(found, shape) < 0.5
    for name in ("me.obj", "me.glb", "scan.obj"):
        assert largest(Mesh.load(out / name).vertices, shape) < 1.0
    moved = read_npz(out / "many.npz", "people")
    assert largest(target.vertices(moved["identity"]), small_model.vertices(people)) < 0.5
    # What came out goes in again, the other way.
    assert run(files[1], files[0], out / "me.json", "-o", tmp_path / "back") == 0
    back = json.loads((tmp_path / "back" / "me.json").read_text())
    assert largest(small_model.vertices(np.array(back["identity"])), small_model.vertices(code)) < 1.0


def test_without_people_the_command_tells_how_well_one_model_can_be_the_other(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*files) == 0
    assert "20 people drawn from small: 0.0" in capsys.readouterr().out


def test_what_cannot_be_moved_is_named_and_the_others_are_done(
    files: tuple[Path, Path], small_model: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {"identity": [0.0] * 12}
    bad = {
        "short.json": '{"identity": [1, 2]}', "none.json": "{}", "list.json": "[]", "text.json": '{"identity": "x"}',
        "deep.json": "[" * 100_000, "huge.json": '{"identity": [1e999]}', "odd.json": '{"identity": 3}',
        "kind.json": json.dumps({**good, "expression": [1]}), "noise.npz": "noise", "what.txt": "?",
    }  # fmt: skip
    for name, text in bad.items():
        (tmp_path / name).write_text(text)
    Mesh(small_model.mean[:-2], np.zeros((0, 3))).save(tmp_path / "fewer.ply")
    Mesh(small_model.mean * 3.0, small_model.topology.triangles).save(tmp_path / "giant.ply")
    (tmp_path / "good.json").write_text(json.dumps(good))
    names = [*bad, "fewer.ply", "giant.ply", "good.json"]
    assert run(*files, *(tmp_path / name for name in names), "-o", tmp_path / "out", "--formats", "json") == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == len(names) - 1
    for name in names[:-1]:
        assert f"likeness: {tmp_path / name}: " in error
    assert [file.name for file in (tmp_path / "out").iterdir() if not file.name.startswith(".")] == ["good.json"]


def test_nothing_of_the_users_is_written_over(files: tuple[Path, Path], tmp_path: Path) -> None:
    text = json.dumps({"identity": [0.5] * 12})
    (tmp_path / "me.json").write_text(text)
    for _ in range(2):
        run(*files, tmp_path / "me.json", "-o", tmp_path, "--formats", "json")
        assert (tmp_path / "me.json").read_text() == text


def test_codes_as_programs_around_other_models_write_them(
    files: tuple[Path, Path], small_model: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    savemat = pytest.importorskip("scipy.io").savemat
    rng = np.random.default_rng(4)
    people = small_model.space.sample(2, rng).astype(np.float64)
    people[:, 9:] = 0.0
    weights = np.zeros((2, len(small_model.expression_names)))
    weights[:, 3] = 0.5
    np.savez(tmp_path / "deca.npz", shape=people[:, :9], exp=weights, cam=np.zeros((2, 3)))
    savemat(tmp_path / "deep3d.mat", {"id": people, "exp": weights, "tex": np.zeros((2, 5))})
    np.save(tmp_path / "mica.npy", people[0])
    names = [tmp_path / name for name in ("deca.npz", "deep3d.mat", "mica.npy")]
    assert run(*files, *names, "-o", tmp_path / "out", "--formats", "json") == 0
    assert "deca.npz: identity of the first 9 of 12 modes" in capsys.readouterr().err
    moved = [read_npz(tmp_path / "out" / f"{name}.npz", "people") for name in ("deca", "deep3d")]
    np.testing.assert_array_equal(moved[0]["identity"], moved[1]["identity"])
    target = FaceModel.load(files[1])
    found = target.vertices(moved[0]["identity"], moved[0]["expression"])
    assert largest(found, small_model.vertices(people, weights)) < 0.5
    alone = json.loads((tmp_path / "out" / "mica.json").read_text())
    assert largest(target.vertices(np.array(alone["identity"])), small_model.vertices(people[0])) < 0.5
