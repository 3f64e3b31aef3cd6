"""Whole heads as GLB files, read again: every part where and as coloured as it was, with and without a texture."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from whole_heads import codes, default_model

from likeness import Mesh
from likeness.errors import FileWarning
from likeness.mesh.assembly import vertex_colors
from likeness.mesh.glb_writer import read_glb
from likeness.model.head import whole_head
from likeness.model.head.files import write_head_glb
from likeness.view.files import Heads
from likeness.view.pack import pack


def a_head(textured: bool) -> Mesh:
    """Somebody, with colours or with a texture that no two vertices have the same of."""
    head = default_model().mesh(codes(1, 0)[0])
    if not textured:
        return head
    y, x = np.mgrid[:256, :256] / 255.0
    texture = np.rint(255 * np.stack([0.2 + 0.6 * x, 0.2 + 0.6 * y, 0.8 - 0.3 * x - 0.3 * y], axis=-1))
    return Mesh(
        head.vertices,
        head.triangles,
        uv=head.uv,
        uv_triangles=head.uv_triangles,
        texture=texture.astype(np.uint8),
    )


def off_seams(mesh: Mesh) -> np.ndarray:
    """(V,) bool, vertices of one uv."""
    assert mesh.uv_triangles is not None
    pairs = np.unique(np.stack([mesh.triangles.ravel(), mesh.uv_triangles.ravel()], axis=1), axis=0)
    return np.bincount(pairs[:, 0], minlength=len(mesh.vertices)) == 1


@pytest.mark.parametrize("textured", [False, True])
def test_a_saved_head_comes_back_as_one_mesh_with_its_colours(tmp_path: Path, textured: bool) -> None:
    model, head, path = default_model(), a_head(textured), tmp_path / "head.glb"
    write_head_glb(path, model, head)
    whole = whole_head(model, head)
    expected = whole.joined()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        mesh, shapes, _ = read_glb(path)
    lost = ["textures as colours of vertices (only some parts have one)"] if textured else []
    assert [str(one.message) for one in told] == [f"{path}: {what}" for what in lost]
    np.testing.assert_allclose(mesh.vertices, expected.vertices, atol=1e-4)
    np.testing.assert_array_equal(mesh.triangles, expected.triangles)  # copies at uv seams are joined again
    assert set(shapes) == set(whole.shape_names)
    assert mesh.colors is not None
    assert expected.colors is not None
    rows = np.ones(len(mesh.vertices), bool)
    skin = whole["skin"].mesh
    if textured:
        rows[: len(skin.vertices)] = off_seams(skin)
        assert mesh.colors[: len(skin.vertices)].std(axis=0).min() > 0.05
    assert rows.mean() > 0.95
    np.testing.assert_allclose(mesh.colors[rows], expected.colors[rows], atol=1e-4)
    np.testing.assert_allclose(mesh.colors[-1], vertex_colors(whole["tongue"].mesh)[-1], atol=1e-4)


def test_a_saved_head_is_viewed_with_its_texture_and_all_parts(tmp_path: Path) -> None:
    model = default_model()
    for name, textured in (("ann", True), ("ben", True), ("plain", False)):
        write_head_glb(tmp_path / f"{name}.glb", model, a_head(textured))
    heads = Heads()
    with warnings.catch_warnings():
        warnings.simplefilter("error", FileWarning)  # nothing is lost
        ann, ben, plain = (heads.head(tmp_path / f"{name}.glb") for name in ("ann", "ben", "plain"))
    expected = whole_head(model, a_head(True))
    skin = len(expected["skin"].mesh.triangles)
    assert ann.rig is ben.rig
    assert ann.rig.covered is not None
    np.testing.assert_array_equal(np.flatnonzero(ann.rig.covered), np.arange(skin))
    np.testing.assert_array_equal(ann.texture, a_head(True).texture)
    assert set(ann.rig.expressions.names) == set(model.expression_names)
    assert ann.colors is not None
    assert plain.colors is not None
    assert plain.texture is None
    assert len(pack([ann, ben, plain])) > 0
    others = len(expected["skin"].mesh.vertices)
    np.testing.assert_allclose(ann.colors[others:], expected.joined().colors[others:], atol=1e-4)
