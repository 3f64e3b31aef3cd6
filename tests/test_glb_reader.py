"""Other people's GLB files: their dialects are understood, and nothing that they claim is believed."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from glb_files import packed

from likeness.errors import FileError
from likeness.mesh.glb_writer import read_glb


def test_the_scenes_transforms_are_applied(tmp_path: Path) -> None:
    import trimesh

    vertices = np.random.default_rng(1).normal(size=(30, 3)) * 80
    triangles = np.arange(30).reshape(10, 3)
    scene = trimesh.Scene()
    turn = trimesh.transformations.rotation_matrix(0.7, [1, 2, 3])
    turn[:3, :3] *= 0.5
    turn[:3, 3] = (0.1, 0.2, 0.3)
    body = trimesh.Trimesh(vertices / 1000, triangles, process=False, vertex_colors=[[255, 0, 51, 255]] * 30)
    scene.add_geometry(body, transform=turn)
    (tmp_path / "a.glb").write_bytes(scene.export(file_type="glb"))
    back, shapes, _ = read_glb(tmp_path / "a.glb")
    np.testing.assert_allclose(back.vertices, vertices @ turn[:3, :3].T + 1000 * turn[:3, 3], atol=1e-3)
    np.testing.assert_array_equal(back.triangles, triangles)
    assert back.colors is not None
    assert shapes == {}


def foreign() -> tuple[dict[str, Any], bytes]:
    """Interleaved, quantised, mirrored, two primitives of which one has no indices, a nameless target."""
    binary = b"".join(struct.pack("<3hxx4B", *p, *c) for p, c in (
        ((0, 0, 0), (51, 0, 0, 255)), ((1000, 0, 0), (0, 255, 0, 255)), ((0, 2000, 0), (0, 0, 255, 255)),
    ))  # fmt: skip
    binary += bytes([2, 1, 0, 0]) + struct.pack("<4f", 0, 0, 0.25, 0)
    document = {
        "asset": {"version": "2.0"},
        "extensionsRequired": ["KHR_mesh_quantization"],
        "scenes": [{"nodes": [1]}],
        "nodes": [{"mesh": 0, "scale": [-1e-3, 1e-3, 1e-3]}, {"children": [2, 0]}, {"name": "lamp"}],
        "meshes": [
            {
                "primitives": [
                    {"attributes": {"POSITION": 0, "COLOR_0": 1}, "indices": 2, "targets": [{"POSITION": 3}]},
                    {"attributes": {"POSITION": 0, "COLOR_0": 1}, "mode": 4, "targets": [{"POSITION": 3}]},
                    {"attributes": {"POSITION": 0}, "mode": 1, "targets": [{}]},
                ]
            }
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5122, "count": 3, "type": "VEC3"},
            {"bufferView": 0, "byteOffset": 8, "componentType": 5121, "count": 3, "type": "VEC4", "normalized": True},
            {"bufferView": 1, "componentType": 5121, "count": 3, "type": "SCALAR"},
            {"componentType": 5126, "count": 3, "type": "VEC3", "sparse": {
                "count": 1,
                "indices": {"bufferView": 1, "byteOffset": 0, "componentType": 5121},
                "values": {"bufferView": 1, "byteOffset": 4},
            }},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": 36, "byteStride": 12},
            {"buffer": 0, "byteOffset": 36, "byteLength": 20},
        ],
        "buffers": [{"byteLength": 56}],
    }  # fmt: skip
    return document, binary


@pytest.mark.parametrize("filling", [b" ", b"\0"])
def test_other_writers_dialects(tmp_path: Path, filling: bytes) -> None:
    path = tmp_path / "a.glb"
    path.write_bytes(packed(*foreign(), filling))
    mesh, shapes, weights = read_glb(path)
    np.testing.assert_allclose(mesh.vertices, [[0, 0, 0], [-1000, 0, 0], [0, 2000, 0]], atol=1e-3)
    assert mesh.triangles.tolist() == [[0, 1, 2], [2, 1, 0]]  # turned round: the node mirrors
    np.testing.assert_allclose(mesh.colors, np.diag([0.4845292, 1, 1]), atol=1e-6)  # 0.2 of linear light
    assert weights.tolist() == [0]
    np.testing.assert_allclose(shapes["target0"], [[0, 0, 0], [0, 0, 0], [0, 0, 0.25]])


def put(place: str, value: object) -> Any:
    """A change to the document: ``a/0/b`` becomes ``value``."""

    def change(document: Any) -> None:
        *folders, last = [int(step) if step.isdigit() else step for step in place.split("/")]
        for step in folders:
            document = document[step]
        document[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("accessors/0/count", 10**12), "too short for 1000000000000 rows"),
        (put("accessors/0/count", -1), "whole number, got -1"),
        (put("accessors/0/bufferView", -1), "whole number, got -1"),
        (put("accessors/0/bufferView", 99), "IndexError"),
        (put("accessors/0/type", "MAT4"), "MAT4"),
        (put("accessors/3/count", 10**12), "1000000000000 x VEC3"),
        (put("accessors/3/sparse/count", 10**9), "too short"),
        (put("accessors/0", {"componentType": 5126, "count": 10**12, "type": "VEC3"}), "has no data"),
        (put("bufferViews/0/byteLength", 10**12), "ends behind the data"),
        (put("bufferViews/0/byteStride", 10**12), "too short"),
        (put("buffers/0/uri", "file:///etc/passwd"), "outside the file"),
        (put("extensionsRequired", ["EXT_mesh_gpu_instancing"]), "needs EXT_mesh_gpu_instancing"),
        (put("meshes/0/primitives/0/targets", [{}] * 5000), "5000 morph targets"),
        (put("meshes/0/primitives/1/targets", []), "equally many morph targets, got 1 and 0"),
        (put("meshes/0/primitives", []), "with triangles, found none"),
        (put("meshes/0/weights", [1, 2]), "1 finite weights"),
        (put("nodes/1/children", [1]), "no node of the scene has a mesh"),
        (put("nodes/0/scale", [1e300] * 3), "finite"),
        (put("nodes", "none"), "not a usable GLB"),
    ],
)
def test_hostile_documents_are_refused_cheaply(tmp_path: Path, change: Any, message: str) -> None:
    document, binary = foreign()
    change(document)
    path = tmp_path / "a.glb"
    path.write_bytes(packed(document, binary))
    with pytest.raises(FileError, match=rf"a\.glb: .*{message}"):
        read_glb(path)


def test_random_damage_gives_a_mesh_or_a_file_error_of_one_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    good = packed(*foreign())
    path = tmp_path / "a.glb"
    refused = 0
    for _ in range(300):
        bad = bytearray(good[: rng.integers(1, len(good))] if rng.random() < 0.2 else good)
        for _ in range(rng.integers(0, 3)):
            bad[rng.integers(len(bad))] = rng.choice(np.frombuffer(b'0123456789-."{}[]\xff', np.uint8))
        path.write_bytes(bad)
        message = ""
        try:
            read_glb(path)
        except FileError as error:
            message = str(error)
        assert "\n" not in message
        refused += bool(message)
    assert 60 < refused < 300


def test_what_is_no_glb_is_told_so(tmp_path: Path) -> None:
    good = packed(*foreign())
    for content, message in (
        (b"solid", "does not begin like one"),
        (good[:4] + b"\1" + good[5:], "version 2, got 1"),
        (good[:-8], "cut short"),
        (good[:20] + b"[" * (len(good) - 20), "RecursionError|JSONDecodeError"),
    ):
        (tmp_path / "a.glb").write_bytes(content)
        with pytest.raises(FileError, match=message):
            read_glb(tmp_path / "a.glb")
