"""What holds for every mesh: checks, normals, areas, Laplacians, mirror symmetry."""

import sys

import numpy as np
import pytest

from likeness.errors import MissingExtraError
from likeness.mesh import Mesh, laplacian, mirror_map, vertex_normals


def grid(columns: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (x, y) of a grid, row by row, and its quads (Q, 4), counter-clockwise."""
    x, y = np.meshgrid(np.arange(columns, dtype=float), np.arange(rows, dtype=float))
    i = np.arange(columns * rows).reshape(rows, columns)
    quads = np.stack([i[:-1, :-1], i[:-1, 1:], i[1:, 1:], i[1:, :-1]], axis=-1).reshape(-1, 4)
    return np.stack([x.ravel(), y.ravel()], axis=1), quads


def halves(quads: np.ndarray) -> np.ndarray:
    return quads[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)


def sphere(radius: float = 80.0, subdivisions: int = 3) -> Mesh:
    """A subdivided octahedron: closed, symmetric across all three planes."""
    points = np.concatenate([np.eye(3), -np.eye(3)])
    triangles = np.array([[0, 1, 2], [1, 3, 2], [3, 4, 2], [4, 0, 2], [1, 0, 5], [3, 1, 5], [4, 3, 5], [0, 4, 5]])
    for _ in range(subdivisions):
        corners = triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
        edges, middle = np.unique(np.sort(corners, axis=1), axis=0, return_inverse=True)
        ab, bc, ca = (middle.reshape(-1, 3) + len(points)).T
        points = np.concatenate([points, points[edges].mean(axis=1)])
        a, b, c = triangles.T
        triangles = np.concatenate(
            [np.stack(t, axis=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
        )
    return Mesh(radius * points / np.linalg.norm(points, axis=1, keepdims=True), triangles)


def rotation(seed: int) -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.linalg.det(q)


def quad_sheet(**more: object) -> Mesh:
    """A 4 x 3 grid of quads with seams, colours and groups."""
    points, quads = grid(5, 4)
    triangles = halves(quads)
    uv = np.concatenate([points / 5, points / 5 + 0.01])
    uv_triangles = triangles.copy()
    uv_triangles[:10] += len(points)
    return Mesh(
        np.column_stack([points, np.sin(points[:, 0])]),
        triangles,
        uv=uv,
        uv_triangles=uv_triangles,
        colors=np.linspace(0, 1, 3 * len(points)).reshape(-1, 3),
        quads=np.arange(0, len(triangles), 2),
        groups={"lower": np.arange(8), "all": np.arange(len(triangles))},
        **more,  # type: ignore[arg-type]
    )


SQUARE = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
TWO = np.array([[0, 1, 2], [0, 2, 3]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vertices": SQUARE[:, :2]}, r"vertices \(N, 3\).*got float64 \(4, 2\)"),
        ({"vertices": SQUARE.astype(str)}, "of numbers"),
        ({"vertices": SQUARE.astype(complex)}, "of numbers"),
        ({"vertices": np.empty((0, 3)), "triangles": np.empty((0, 3))}, "at least one vertex"),
        ({"vertices": np.where(SQUARE > 0, np.nan, SQUARE)}, "got 3 rows that are not, the first is row 1"),
        ({"triangles": TWO[:, :2]}, r"triangles \(N, 3\) of integers, got int64 \(2, 2\)"),
        ({"triangles": TWO.astype(float)}, "of integers, got float64"),
        ({"triangles": TWO + 1}, r"indices 0..3, got 1..4"),
        ({"triangles": TWO - 1}, r"got -1..2"),
        ({"triangles": TWO + 2**32}, "indices 0..3"),
        ({"uv": SQUARE}, r"uv \(N, 2\)"),
        ({"uv": SQUARE[:3, :2]}, r"one uv per vertex \(4\).*got 3"),
        ({"uv_triangles": TWO}, "got uv_triangles alone"),
        ({"uv": SQUARE[:, :2], "uv_triangles": TWO[:1]}, r"uv_triangles \(2, 3\)"),
        ({"uv": SQUARE[:2, :2], "uv_triangles": TWO}, "indices 0..1"),
        ({"colors": SQUARE[:2]}, "one colour per vertex"),
        ({"colors": 255 * SQUARE}, r"in 0..1, got 0..255"),
        ({"texture": np.zeros((2, 2, 3), np.uint8)}, "uv together with a texture"),
        ({"uv": SQUARE[:, :2], "texture": np.zeros((2, 2, 3))}, "uint8"),
        ({"quads": [1]}, "quads with indices"),
        ({"quads": [0, 0]}, "increasing by 2"),
        ({"triangles": [[0, 1, 2], [2, 3, 0]], "quads": [0]}, r"\(a, b, c\), \(a, c, d\)"),
        ({"uv": SQUARE[:, :2], "uv_triangles": TWO[::-1], "quads": [0]}, "uv_triangles t, t.1 of a quad"),
        ({"groups": {"lip": [2]}}, "group 'lip' with indices 0..1"),
    ],
)
def test_a_mesh_refuses_what_it_cannot_be(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mesh(**{"vertices": SQUARE, "triangles": TWO, **arguments})


def test_types_are_settled_and_rounding_in_colours_forgiven() -> None:
    mesh = Mesh(SQUARE.astype(int), TWO, colors=np.full((4, 3), 1 + 1e-6), quads=[0], groups={"none": []})
    assert mesh.vertices.dtype == np.float64
    assert mesh.triangles.dtype == np.int32
    assert mesh.colors is not None
    assert mesh.colors.max() == 1
    assert mesh.groups is not None
    assert mesh.groups["none"].dtype == np.int32
    assert Mesh(SQUARE.astype(np.float32), TWO).vertices.dtype == np.float32
    assert len(Mesh(SQUARE, np.empty((0, 3))).triangles) == 0


def test_normals_of_a_sphere_point_outwards_and_turn_with_it() -> None:
    mesh = sphere()
    normals = mesh.vertex_normals()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-12)
    assert (normals * mesh.vertices / 80).sum(axis=1).min() > 0.999
    centres = mesh.vertices[mesh.triangles].mean(axis=1)
    assert (mesh.triangle_normals() * centres).sum(axis=1).min() > 0
    R = rotation(1)
    moved = mesh.transformed(R, np.array([1.0, -2, 3]), 2.5)
    np.testing.assert_allclose(moved.vertex_normals(), normals @ R.T, atol=1e-9)
    np.testing.assert_allclose(moved.triangle_areas(), 2.5**2 * mesh.triangle_areas(), rtol=1e-9)


def test_many_meshes_at_once_are_each_mesh_alone() -> None:
    mesh = sphere(subdivisions=2)
    many = mesh.vertices + np.random.default_rng(0).normal(size=(2, 3, *mesh.vertices.shape))
    together = vertex_normals(many.astype(np.float32), mesh.triangles)
    assert together.dtype == np.float32
    assert together.shape == many.shape
    for index in np.ndindex(2, 3):
        alone = mesh.with_vertices(many[index]).vertex_normals()
        np.testing.assert_allclose(together[index], alone, atol=1e-4)
    with pytest.raises(ValueError, match=r"\(..., V, 3\)"):
        vertex_normals(many[..., :2], mesh.triangles)


def test_normals_are_weighted_by_area_and_zero_where_there_is_no_surface() -> None:
    """Two walls of a corner, one nine times as large; a lonely vertex; a triangle without area."""
    vertices = np.array([[0.0, 0, 0], [3, 0, 0], [0, 6, 0], [0, 0, 2], [0, 1, 0], [9, 9, 9], [1, 1, 1]])
    mesh = Mesh(vertices, [[0, 1, 2], [0, 4, 3], [6, 6, 3]])
    normals = mesh.vertex_normals()
    expected = np.array([2, 0, 18.0])
    np.testing.assert_allclose(normals[0], expected / np.linalg.norm(expected), atol=1e-12)
    assert not normals[5].any()
    assert not normals[6].any()
    assert not mesh.triangle_normals()[2].any()


def test_areas_sum_to_the_surface_and_a_closed_surface_faces_nowhere() -> None:
    mesh = sphere(subdivisions=4)
    assert mesh.triangle_areas().sum() == pytest.approx(4 * np.pi * 80**2, rel=5e-3)
    assert mesh.vertex_areas().sum() == pytest.approx(mesh.triangle_areas().sum())
    np.testing.assert_allclose(mesh.triangle_areas() @ mesh.triangle_normals(), 0, atol=1e-8)
    np.testing.assert_allclose(Mesh(SQUARE, TWO).vertex_areas(), [1 / 3, 1 / 6, 1 / 3, 1 / 6])


def test_edges_obey_euler() -> None:
    mesh = sphere()
    edges = mesh.edges()
    assert len(mesh.vertices) - len(edges) + len(mesh.triangles) == 2
    assert (edges[:, 0] < edges[:, 1]).all()
    assert len(np.unique(edges, axis=0)) == len(edges)
    assert Mesh(SQUARE, [[0, 0, 1]]).edges().tolist() == [[0, 1]]


def test_a_transform_and_its_inverse_cancel_and_reflections_are_refused() -> None:
    mesh, R, t = sphere(subdivisions=1), rotation(2), np.array([10.0, -5, 3])
    back = mesh.transformed(R, t, 4.0).transformed(R.T, -R.T @ t / 4, 1 / 4)
    np.testing.assert_allclose(back.vertices, mesh.vertices, atol=1e-9)
    for bad in (np.diag([-1.0, 1, 1]), 2 * np.eye(3), np.full((3, 3), np.nan)):
        with pytest.raises(ValueError, match="rotation matrix"):
            mesh.transformed(bad)
    with pytest.raises(ValueError, match="positive scale"):
        mesh.transformed(scale=-1)
    with pytest.raises(ValueError, match=r"expected vertices \(18, 3\)"):
        mesh.with_vertices(mesh.vertices[1:])


def test_a_submesh_keeps_everything_about_the_triangles_it_keeps() -> None:
    mesh = quad_sheet()
    assert mesh.uv is not None
    assert mesh.uv_triangles is not None
    assert mesh.colors is not None
    mask = mesh.vertices[:, 0] >= 1
    mask[-1] = False
    part = mesh.submesh(mask)
    kept = np.flatnonzero(mask[mesh.triangles].all(axis=1))
    assert 0 < len(kept) < len(mesh.triangles)
    assert part.uv is not None
    assert part.colors is not None
    assert part.groups is not None
    np.testing.assert_array_equal(part.vertices, mesh.vertices[mask])
    np.testing.assert_array_equal(part.vertices[part.triangles], mesh.vertices[mesh.triangles[kept]])
    np.testing.assert_array_equal(part.colors[part.triangles], mesh.colors[mesh.triangles[kept]])
    np.testing.assert_array_equal(part.uv[part.uv_triangles], mesh.uv[mesh.uv_triangles[kept]])
    assert len(part.uv) < len(mesh.uv)
    starts, is_quad = part.polygons()
    assert is_quad.sum() == 8  # of 12; one column of three and the clipped corner's are gone
    assert len(starts) == len(part.triangles) - 8
    assert set(part.groups["lower"].tolist()) == {i for i, t in enumerate(kept) if t < 8}
    np.testing.assert_array_equal(part.groups["all"], np.arange(len(kept)))
    with pytest.raises(ValueError, match="bool mask"):
        mesh.submesh(mask.astype(int))


def test_the_laplacian_is_symmetric_semidefinite_and_ignores_constants() -> None:
    mesh = sphere(subdivisions=2)
    dense = laplacian(mesh.triangles, len(mesh.vertices)).toarray()
    np.testing.assert_allclose(dense, dense.T, atol=1e-12)
    np.testing.assert_allclose(dense.sum(axis=1), 0, atol=1e-10)
    values = np.linalg.eigvalsh(dense)
    assert values[0] > -1e-9
    assert values[1] > 1e-3  # one component: only constants vanish
    np.testing.assert_array_equal(dense.diagonal(), np.bincount(mesh.edges().ravel()))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_mirror_map_mirrors_shape_and_topology(axis: int) -> None:
    mesh = sphere()
    shuffled = np.random.default_rng(5).permutation(len(mesh.vertices))
    vertices = mesh.vertices[shuffled] + np.random.default_rng(6).uniform(-0.5, 0.5, mesh.vertices.shape)
    triangles = np.argsort(shuffled)[mesh.triangles]
    partner = mirror_map(vertices, triangles, axis)
    sign = np.where(np.arange(3) == axis, -1, 1)
    assert np.abs(vertices[partner] - vertices * sign).max() < 1.01
    np.testing.assert_array_equal(partner[partner], np.arange(len(vertices)))
    on_plane = np.abs(mesh.vertices[shuffled][:, axis]) < 1e-9
    np.testing.assert_array_equal(partner == np.arange(len(vertices)), on_plane)


def test_closed_lips_find_their_own_partners() -> None:
    """Two sheets that share their places along one row but no vertex: the nearest neighbour is a coin toss there."""
    points, quads = grid(9, 4)
    upper = np.column_stack([points[:, 0] - 4, points[:, 1], points[:, 1] ** 2])
    sheet = np.column_stack([-upper[:, 0], -upper[:, 1], upper[:, 2]])  # turned half round: below, row for row
    vertices = np.concatenate([upper, sheet])
    triangles = np.concatenate([halves(quads), halves(quads) + len(upper)])
    pairs = np.arange(0, len(triangles), 2)
    partner = mirror_map(vertices, triangles, quads=pairs)
    assert ((partner < len(upper)) == (np.arange(len(vertices)) < len(upper))).all()
    np.testing.assert_allclose(vertices[partner], vertices * [-1, 1, 1])
    with pytest.raises(ValueError, match="faces whose mirror image is not a face"):
        mirror_map(vertices, triangles)  # the diagonals all lean one way


def test_an_asymmetric_mesh_is_refused_with_counts() -> None:
    mesh = sphere()
    moved = mesh.vertices.copy()
    moved[np.argmax(moved[:, 0])] *= 1.5
    with pytest.raises(ValueError, match=r"x = 0, got 2 of 258 vertices without a partner"):
        mirror_map(moved, mesh.triangles)
    with pytest.raises(ValueError, match=r"got 0 of 258 vertices.* and 1 of 511 faces"):
        mirror_map(mesh.vertices, mesh.triangles[1:])
    with pytest.raises(ValueError, match="axis"):
        mirror_map(mesh.vertices, mesh.triangles, 3)


def test_what_needs_scipy_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = sphere(subdivisions=1)
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    monkeypatch.setitem(sys.modules, "scipy.spatial", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'likeness3d\[scans\]'"):
        laplacian(mesh.triangles, len(mesh.vertices))
    with pytest.raises(MissingExtraError, match=r"likeness3d\[scans\]"):
        mirror_map(mesh.vertices, mesh.triangles)
