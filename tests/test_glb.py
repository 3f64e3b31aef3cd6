"""GLB files: their structure against the glTF 2.0 specification, round trips, other writers' files, damage."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness.mesh import Mesh
from likeness.mesh.glb_writer import glb_bytes, read_glb, write_glb

SIZES = {5121: 1, 5123: 2, 5125: 4, 5126: 4}
TYPES = {5121: "u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}


def head(**more: Any) -> Mesh:
    """A bumpy closed tube of 140 vertices, about as large as a head."""
    angle, height = np.meshgrid(np.linspace(0, 2 * np.pi, 14, endpoint=False), np.linspace(-90, 90, 10))
    radius = 80 + np.random.default_rng(1).uniform(-3, 3, angle.shape)
    vertices = np.stack([radius * np.sin(angle), height, radius * np.cos(angle)], axis=-1).reshape(-1, 3)
    i = np.arange(140).reshape(10, 14)
    a, b = i, np.roll(i, -1, axis=1)
    quads = np.stack([a[:-1], b[:-1], b[1:], a[1:]], axis=-1).reshape(-1, 4)
    return Mesh(vertices, quads[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3), **more)


def seamed(**more: Any) -> Mesh:
    """The same with the uv seam that a tube has."""
    column = np.arange(140).reshape(10, 14) % 14
    uv = np.stack(np.meshgrid(np.linspace(0, 1, 15), np.linspace(0, 1, 10)), axis=-1).reshape(-1, 2)
    mesh = head()
    uv_triangles = mesh.triangles // 14 * 15 + column.ravel()[mesh.triangles]
    wraps = (uv_triangles % 15).max(axis=1) - (uv_triangles % 15).min(axis=1) > 7
    uv_triangles[wraps] += np.where(uv_triangles[wraps] % 15 == 0, 14, 0)
    return Mesh(mesh.vertices, mesh.triangles, uv=uv, uv_triangles=uv_triangles, **more)


def blendshapes(mesh: Mesh) -> dict[str, np.ndarray]:
    """Local ones, one that moves everything, one that moves nothing, one that is noise."""
    rng = np.random.default_rng(2)
    shapes = {}
    for i in range(4):
        distance = np.linalg.norm(mesh.vertices - mesh.vertices[20 * i], axis=1)
        shapes[f"local{i}"] = np.clip(1 - distance / 70, 0, None)[:, None] * rng.normal(size=3) * 9
    shapes["all"] = rng.normal(size=mesh.vertices.shape) + 5
    shapes["none"] = np.zeros(mesh.vertices.shape)
    shapes["noise"] = rng.uniform(-1e-5, 1e-5, mesh.vertices.shape)
    return shapes


def chunks(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON and the binary chunk; checks the container (glTF 2.0, 4.4)."""
    magic, version, total, json_length, json_type = struct.unpack_from("<4sIII4s", data)
    assert (magic, version, total, json_type) == (b"glTF", 2, len(data), b"JSON")
    assert json_length % 4 == 0
    size, kind = struct.unpack_from("<I4s", data, 20 + json_length)
    assert (kind, 28 + json_length + size) == (b"BIN\0", len(data))
    assert size % 4 == 0
    return json.loads(data[20 : 20 + json_length]), data[28 + json_length :]


def view_rows(
    document: dict, binary: bytes, index: int, offset: int, kind: int, width: int, count: int
) -> np.ndarray:
    view = document["bufferViews"][index]
    assert "byteStride" not in view
    start = view.get("byteOffset", 0) + offset
    assert start % SIZES[kind] == 0
    assert offset + count * width * SIZES[kind] <= view["byteLength"]
    return np.frombuffer(binary, TYPES[kind], count * width, start).reshape(count, width)


def accessor_rows(document: dict, binary: bytes, index: int) -> np.ndarray:
    """An accessor's values; checks sections 3.6.2.1 to 3.6.2.5: alignment, ranges, sparse storage, exact bounds."""
    spec = document["accessors"][index]
    width, count, kind = WIDTHS[spec["type"]], spec["count"], spec["componentType"]
    assert count >= 1
    values = np.zeros((count, width), TYPES[kind])
    if "bufferView" in spec:
        values = view_rows(document, binary, spec["bufferView"], spec.get("byteOffset", 0), kind, width, count).copy()
    if "sparse" in spec:
        sparse = spec["sparse"]
        where, what = sparse["indices"], sparse["values"]
        some = sparse["count"]
        assert 1 <= some <= count
        args = (where["bufferView"], where["byteOffset"], where["componentType"], 1, some)
        places = view_rows(document, binary, *args).ravel()
        assert (np.diff(places.astype(int)) > 0).all()
        values[places] = view_rows(document, binary, what["bufferView"], what["byteOffset"], kind, width, some)
        for piece in (where, what):
            assert "target" not in document["bufferViews"][piece["bufferView"]]
    if "min" in spec:
        np.testing.assert_array_equal(values.min(axis=0), np.array(spec["min"], dtype=values.dtype))
        np.testing.assert_array_equal(values.max(axis=0), np.array(spec["max"], dtype=values.dtype))
    return values


def checked(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray], list[np.ndarray]]:
    """The JSON, the attributes and the morph targets of one of our files, held against the specification."""
    document, binary = chunks(data)
    assert document["asset"] == {"version": "2.0", "generator": "likeness"}
    assert document["scenes"][document["scene"]]["nodes"] == [0]
    assert len(binary) - document["buffers"][0]["byteLength"] in range(4)
    ends = [0]
    for view in document["bufferViews"]:
        assert view["byteOffset"] % 4 == 0
        assert view["byteOffset"] >= ends[-1]  # no two share bytes
        ends.append(view["byteOffset"] + view["byteLength"])
    assert ends[-1] <= document["buffers"][0]["byteLength"]
    (primitive,) = document["meshes"][0]["primitives"]
    attributes = {name: accessor_rows(document, binary, i) for name, i in primitive["attributes"].items()}
    count = len(attributes["POSITION"])
    assert {len(rows) for rows in attributes.values()} == {count}
    np.testing.assert_allclose(np.linalg.norm(attributes["NORMAL"], axis=1), 1, atol=1e-5)
    for name, i in primitive["attributes"].items():
        assert document["bufferViews"][document["accessors"][i]["bufferView"]]["target"] == 34962
        assert ("min" in document["accessors"][i]) == (name == "POSITION")
    indices = document["accessors"][primitive["indices"]]
    assert document["bufferViews"][indices["bufferView"]]["target"] == 34963
    attributes["indices"] = accessor_rows(document, binary, primitive["indices"]).reshape(-1, 3)
    assert attributes["indices"].max() < min(count, 2 ** (8 * SIZES[indices["componentType"]]) - 1)
    targets = [accessor_rows(document, binary, target["POSITION"]) for target in primitive.get("targets", [])]
    assert all(target.shape == (count, 3) for target in targets)
    assert all("min" in document["accessors"][target["POSITION"]] for target in primitive.get("targets", []))
    assert len(document["meshes"][0].get("weights", [])) == len(targets)
    return document, attributes, targets


def test_the_file_is_what_the_specification_asks_for() -> None:
    mesh = head(colors=np.random.default_rng(3).uniform(size=(140, 3)))
    shapes = blendshapes(mesh)
    weights = np.linspace(0, 1, len(shapes))
    document, attributes, targets = checked(glb_bytes(mesh, shapes, weights, "Ann", {"camera": {"focal": 900.5}}))
    np.testing.assert_allclose(attributes["POSITION"], mesh.vertices / 1000, rtol=1e-6)
    np.testing.assert_array_equal(attributes["indices"], mesh.triangles)
    np.testing.assert_allclose(attributes["NORMAL"], mesh.vertex_normals(), atol=1e-6)
    for target, shape in zip(targets, shapes.values(), strict=True):
        np.testing.assert_allclose(target, np.where(np.abs(shape).max(axis=1) < 1e-4, 0, shape.T).T / 1000, atol=1e-9)
    assert document["meshes"][0]["extras"] == {"targetNames": list(shapes)}
    assert document["meshes"][0]["weights"] == weights.tolist()
    assert document["nodes"] == [{"name": "Ann", "mesh": 0, "extras": {"camera": {"focal": 900.5}}}]
    material = document["materials"][0]
    assert not material.get("doubleSided")
    assert material["pbrMetallicRoughness"]["metallicFactor"] == 0


def test_colours_are_linear_light() -> None:
    """IEC 61966-2-1: sRGB 0, 0.5, 1 and the seam of its two branches."""
    colors = np.tile([[0.0, 0.5, 1.0], [0.04045, 0.2, 0.8]], (70, 1))
    _, attributes, _ = checked(glb_bytes(head(colors=colors)))
    np.testing.assert_allclose(attributes["COLOR_0"][0], [0, 0.2140411, 1], atol=1e-6)
    np.testing.assert_allclose(attributes["COLOR_0"][1], [0.0031308, 0.0331048, 0.6038274], atol=1e-6)


def test_targets_are_sparse_where_that_is_smaller() -> None:
    mesh = head()
    document, _, _ = checked(glb_bytes(mesh, blendshapes(mesh)))
    targets = document["meshes"][0]["primitives"][0]["targets"]
    sparse = ["sparse" in document["accessors"][target["POSITION"]] for target in targets]
    assert sparse == [True] * 4 + [False, True, True]
    one = {"x": blendshapes(mesh)["local0"]}
    assert 0 < np.any(one["x"], axis=1).sum() < 60
    assert len(glb_bytes(mesh, one)) < len(glb_bytes(mesh, {"x": one["x"] + 1})) - 800


@pytest.mark.parametrize("textured", [False, True])
def test_the_file_comes_back(tmp_path: Path, textured: bool) -> None:
    rng = np.random.default_rng(4)
    if textured:
        mesh = seamed(texture=rng.integers(0, 256, (9, 7, 3), dtype=np.uint8))
    else:
        mesh = head(colors=rng.uniform(size=(140, 3)))
    shapes, weights = blendshapes(mesh), rng.uniform(size=7)
    write_glb(tmp_path / "a.glb", mesh, shapes, weights)
    back, back_shapes, back_weights = read_glb(tmp_path / "a.glb")
    np.testing.assert_allclose(back.vertices, mesh.vertices, atol=2e-5)
    np.testing.assert_array_equal(back.triangles, mesh.triangles)
    assert list(back_shapes) == list(shapes)
    for name, shape in shapes.items():
        np.testing.assert_allclose(back_shapes[name], shape, atol=1e-4 if name == "noise" else 1e-6)
    np.testing.assert_array_equal(back_weights, weights)
    if textured:
        np.testing.assert_array_equal(back.texture, mesh.texture)
        assert back.uv is not None
        assert mesh.uv is not None
        np.testing.assert_allclose(back.uv[back.uv_triangles], mesh.uv[mesh.uv_triangles], atol=1e-6)
        assert Mesh.load(tmp_path / "a.glb").texture is not None
    else:
        assert back.colors is not None
        np.testing.assert_allclose(back.colors, mesh.colors, atol=1e-6)


def test_copies_at_seams_follow_the_morph_targets() -> None:
    mesh = seamed(texture=np.full((4, 4, 3), 200, np.uint8))
    shapes = blendshapes(mesh)
    document, attributes, targets = checked(glb_bytes(mesh, shapes))
    source = np.append(np.arange(140), document["meshes"][0]["extras"]["seamSources"])
    assert len(source) == 150
    np.testing.assert_array_equal(source[attributes["indices"]], mesh.triangles)
    for name in ("POSITION", "NORMAL"):
        np.testing.assert_array_equal(attributes[name], attributes[name][source])
    for target in targets:
        np.testing.assert_array_equal(target, target[source])
    flipped = attributes["TEXCOORD_0"][attributes["indices"]]
    assert mesh.uv is not None
    np.testing.assert_allclose(flipped * [1, -1] + [0, 1], mesh.uv[mesh.uv_triangles], atol=1e-6)


def test_a_texture_is_a_png_or_a_smaller_jpeg(tmp_path: Path) -> None:
    y, x = np.mgrid[:128, :128]
    texture = np.stack([x + 40, y + 40, x // 2 + y // 2 + 60], axis=-1).astype(np.uint8)
    mesh = seamed(texture=texture, colors=np.ones((140, 3)))
    png, jpeg = glb_bytes(mesh), glb_bytes(mesh, jpeg_quality=80)
    for data, mime, magic in ((png, "image/png", b"\x89PNG"), (jpeg, "image/jpeg", b"\xff\xd8")):
        document, attributes, _ = checked(data)
        assert "COLOR_0" not in attributes  # glTF would multiply it into the texture
        (image,) = document["images"]
        view = document["bufferViews"][image["bufferView"]]
        assert image["mimeType"] == mime
        assert chunks(data)[1][view["byteOffset"] :].startswith(magic)
    (tmp_path / "a.glb").write_bytes(jpeg)
    back = read_glb(tmp_path / "a.glb")[0].texture
    assert back is not None
    assert np.abs(back.astype(int) - texture).mean() < 3


def test_meshes_of_all_sizes(tmp_path: Path) -> None:
    """Indices of 16 bits as long as they can be, 32 from there; vertices without normal; no targets."""
    for count, kind in ((65535, 5123), (65536, 5125)):
        vertices = np.zeros((count, 3))
        vertices[-3:] = np.eye(3)
        mesh = Mesh(vertices, [[count - 3, count - 2, count - 1]])
        document, attributes, _ = checked(glb_bytes(mesh, {"up": np.eye(1, count).T * [[0, 1, 0]]}))
        assert document["accessors"][document["meshes"][0]["primitives"][0]["indices"]]["componentType"] == kind
        assert attributes["NORMAL"][0].tolist() == [0, 0, 1]
    head().save(tmp_path / "plain.glb")
    mesh, shapes, weights = read_glb(tmp_path / "plain.glb")
    assert (shapes, weights.shape, mesh.colors) == ({}, (0,), None)


def test_another_reader_sees_the_same_head(tmp_path: Path) -> None:
    import trimesh

    mesh = seamed(texture=np.full((4, 4, 3), 200, np.uint8))
    write_glb(tmp_path / "a.glb", mesh, blendshapes(mesh), name="Ann")
    (seen,) = trimesh.load(tmp_path / "a.glb", process=False).geometry.values()
    np.testing.assert_allclose(seen.triangles, mesh.vertices[mesh.triangles] / 1000, atol=1e-7)
    assert mesh.uv is not None
    np.testing.assert_allclose(seen.visual.uv[seen.faces], mesh.uv[mesh.uv_triangles], atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shapes": {"smile": np.zeros((3, 3))}}, r"shape 'smile' of numbers \(140, 3\)"),
        ({"shapes": {"smile": np.full((140, 3), np.nan)}}, "'smile' to be finite"),
        ({"shapes": {"smile": np.zeros((140, 3))}, "weights": [1, 2]}, r"weight per shape \(1\)"),
        ({"shapes": {"smile": np.zeros((140, 3))}, "weights": [np.inf]}, "finite weight"),
        ({"weights": [1.0]}, "no weights without shapes"),
        ({"extras": {"a": np.zeros(3)}}, "JSON"),
        ({"extras": {"a": float("nan")}}, "JSON"),
    ],
)
def test_a_callers_mistake_writes_nothing(tmp_path: Path, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_glb(tmp_path / "a.glb", head(), **arguments)
    with pytest.raises(ValueError, match="with triangles"):
        write_glb(tmp_path / "a.glb", Mesh(np.zeros((1, 3)), np.empty((0, 3))))
    assert not list(tmp_path.iterdir())
