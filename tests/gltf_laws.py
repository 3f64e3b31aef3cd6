"""What glTF 2.0 asks of a GLB file, and that nothing in it is idle, without any other program.

The Khronos validator's errors, warnings and hints that our files could earn, one law each (sections of the
specification in brackets).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

DTYPES = {5121: "u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
MAGIC = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}
VERTICES, INDICES = 34962, 34963
KINDS = ("accessors", "bufferViews", "images", "samplers", "textures", "materials", "meshes", "nodes")


def unpacked(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON and the binary chunk of a container [4.4]."""
    magic, version, total, json_length, json_type = struct.unpack_from("<4sIII4s", data)
    assert (magic, version, total, json_type) == (b"glTF", 2, len(data), b"JSON"), "header"
    size, kind = struct.unpack_from("<I4s", data, 20 + json_length)
    assert json_length % 4 == size % 4 == 0, "chunks are not whole words"
    assert (kind, 28 + json_length + size) == (b"BIN\0", len(data)), "binary chunk"
    return json.loads(data[20 : 20 + json_length]), data[28 + json_length :]


class Glb:
    """A file's document and the values of its accessors.

    Args:
        data: of the file.
    """

    def __init__(self, data: bytes) -> None:
        self.json, self.binary = unpacked(data)

    def list(self, kind: str) -> list[dict[str, Any]]:
        return self.json.get(kind, [])

    def primitives(self) -> Iterator[dict[str, Any]]:
        for mesh in self.list("meshes"):
            yield from mesh["primitives"]

    def view(self, index: int) -> bytes:
        view = self.list("bufferViews")[index]
        start = view.get("byteOffset", 0)
        return self.binary[start : start + view["byteLength"]]

    def _rows(self, view: int, offset: int, kind: int, width: int, count: int) -> np.ndarray:
        assert offset % np.dtype(DTYPES[kind]).itemsize == 0, "accessor is not aligned"
        data = self.view(view)
        assert offset + count * width * np.dtype(DTYPES[kind]).itemsize <= len(data), (
            "accessor leaves its buffer view"
        )
        return np.frombuffer(data, DTYPES[kind], count * width, offset).reshape(count, width)

    def values(self, index: int) -> np.ndarray:
        """(N, width) of an accessor, sparse ones filled in."""
        spec = self.list("accessors")[index]
        width, count, kind = WIDTHS[spec["type"]], spec["count"], spec["componentType"]
        rows = np.zeros((count, width), DTYPES[kind])
        if "bufferView" in spec:
            rows = self._rows(spec["bufferView"], spec.get("byteOffset", 0), kind, width, count).copy()
        if "sparse" in spec:
            sparse = spec["sparse"]
            where, what, some = sparse["indices"], sparse["values"], sparse["count"]
            assert 1 <= some <= count, "sparse count"
            places = self._rows(where["bufferView"], where.get("byteOffset", 0), where["componentType"], 1, some)
            assert (np.diff(places.ravel().astype(np.int64)) > 0).all(), "sparse indices do not rise"
            assert int(places.max()) < count, "sparse indices out of range"
            rows[places.ravel()] = self._rows(what["bufferView"], what.get("byteOffset", 0), kind, width, some)
        return rows


def check_laws(data: bytes) -> Glb:
    """Hold a file against all laws; AssertionError names the first that is broken."""
    glb = Glb(data)
    assert glb.json["asset"]["version"] == "2.0", "version"
    assert "extensionsRequired" not in glb.json, "needs an extension"
    _check_views(glb)
    _check_accessors(glb)
    _check_meshes(glb)
    _check_skins(glb)
    _check_images(glb)
    _check_animations(glb)
    _check_nothing_is_idle(glb)
    return glb


def _check_views(glb: Glb) -> None:
    """[3.6.1] inside the buffer, one after the other, whole words."""
    (buffer,) = glb.list("buffers")
    assert 0 <= len(glb.binary) - buffer["byteLength"] < 4, "buffer and binary chunk differ"
    end = 0
    for view in glb.list("bufferViews"):
        assert view["byteOffset"] % 4 == 0, "buffer view is not aligned"
        assert view["byteOffset"] >= end, "buffer views overlap"
        assert view["byteLength"] > 0, "empty buffer view"
        end = view["byteOffset"] + view["byteLength"]
    assert end <= buffer["byteLength"], "buffer view leaves the buffer"


def _check_accessors(glb: Glb) -> None:
    """[3.6.2] finite, and bounds to the last bit."""
    for index, spec in enumerate(glb.list("accessors")):
        values = glb.values(index)
        assert len(values) >= 1, "empty accessor"
        assert np.isfinite(values).all(), "not finite"
        for key, found in (("min", values.min(axis=0)), ("max", values.max(axis=0))):
            if key in spec:
                assert np.array_equal(found, np.array(spec[key], values.dtype)), f"wrong {key}"


def _check_meshes(glb: Glb) -> None:
    """[3.7.2] attributes of one length, bounds where due, targets of views, unit normals, whole triangles."""
    for mesh in glb.list("meshes"):
        names = mesh.get("extras", {}).get("targetNames", [])
        for primitive in mesh["primitives"]:
            attributes = {name: glb.values(index) for name, index in primitive["attributes"].items()}
            count = len(attributes["POSITION"])
            assert {len(values) for values in attributes.values()} == {count}, "attributes of several lengths"
            assert np.allclose(np.linalg.norm(attributes["NORMAL"], axis=1), 1, atol=5e-4), (
                "normals of another length"
            )
            if "TANGENT" in attributes:
                _check_tangents(attributes["TANGENT"], attributes["NORMAL"])
            for index in primitive["attributes"].values():
                assert _target(glb, index) == VERTICES, "vertices without their target"
            assert _target(glb, primitive["indices"]) == INDICES, "indices without their target"
            indices = glb.values(primitive["indices"])
            assert int(indices.max()) < min(count, np.iinfo(indices.dtype).max), "index out of range"
            corners = indices.reshape(-1, 3)
            assert (corners != np.roll(corners, 1, axis=1)).all(), "triangle of two corners"
            targets = [target["POSITION"] for target in primitive.get("targets", [])]
            moved = [index for target in primitive.get("targets", []) for index in target.values()]
            assert all(len(glb.values(index)) == count for index in moved), "target of another length"
            for index in (primitive["attributes"]["POSITION"], *targets):
                assert {"min", "max"} <= set(glb.list("accessors")[index]), "positions without bounds"
            assert len(names) == len(set(names)) == len(targets), "names of targets"
            assert len(mesh.get("weights", [])) == len(targets), "weights of targets"


def _check_tangents(tangents: np.ndarray, normals: np.ndarray) -> None:
    """[3.7.2.1] unit vectors across normals, and a hand."""
    assert np.allclose(np.linalg.norm(tangents[:, :3], axis=1), 1, atol=5e-4), "tangents of another length"
    assert np.abs((tangents[:, :3] * normals).sum(1)).max() < 1e-3, "tangents that are not across normals"
    assert (np.abs(tangents[:, 3]) == 1).all(), "tangents without a hand"


def _check_skins(glb: Glb) -> None:
    """[3.7.3] each joint once and with a matrix, weights of four joints that sum to 1, skinned meshes at the root."""
    roots = {node for scene in glb.list("scenes") for node in scene["nodes"]}
    for skin in glb.list("skins"):
        assert len(set(skin["joints"])) == len(skin["joints"]), "a joint twice"
        matrices = glb.values(skin["inverseBindMatrices"])
        assert matrices.shape == (len(skin["joints"]), 16), "joints and matrices differ"
        assert np.array_equal(matrices[:, [3, 7, 11, 15]], np.tile([0, 0, 0, 1], (len(matrices), 1))), (
            "no affine matrix"
        )
    for number, node in enumerate(glb.list("nodes")):
        if "skin" not in node:
            continue
        assert number in roots, "a skinned mesh that is no root"
        joints = glb.list("skins")[node["skin"]]["joints"]
        for primitive in glb.list("meshes")[node["mesh"]]["primitives"]:
            which, weights = (glb.values(primitive["attributes"][f"{kind}_0"]) for kind in ("JOINTS", "WEIGHTS"))
            assert which.max() < len(joints), "a joint that is none"
            assert (weights >= 0).all(), "weights below 0"
            assert np.allclose(weights.sum(1), 1, atol=1e-5), "weights that do not sum to 1"


def _leads_to_joint(glb: Glb, node: dict[str, Any]) -> bool:
    joints = {joint for skin in glb.list("skins") for joint in skin["joints"]}
    return glb.list("nodes").index(node) in joints or bool(joints & set(node.get("children", [])))


def _target(glb: Glb, accessor: int) -> int | None:
    return glb.list("bufferViews")[glb.list("accessors")[accessor]["bufferView"]].get("target")


def _check_images(glb: Glb) -> None:
    """[3.8.3] images are what they are said to be, in views that no vertices use."""
    for image in glb.list("images"):
        assert glb.view(image["bufferView"]).startswith(MAGIC[image["mimeType"]]), "image of another type"
        assert "target" not in glb.list("bufferViews")[image["bufferView"]], "image with a target"


def _check_animations(glb: Glb) -> None:
    """[3.11] rising times with bounds, outputs of the right length, unit quaternions, every sampler used."""
    widths = {"translation": 3, "rotation": 4, "weights": 1}
    for animation in glb.list("animations"):
        used = [channel["sampler"] for channel in animation["channels"]]
        assert sorted(used) == list(range(len(animation["samplers"]))), "idle sampler"
        for channel in animation["channels"]:
            sampler, target = animation["samplers"][channel["sampler"]], channel["target"]
            times, output = glb.values(sampler["input"]), glb.values(sampler["output"])
            assert {"min", "max"} <= set(glb.list("accessors")[sampler["input"]]), "times without bounds"
            assert times[0, 0] >= 0, "times before the start"
            assert (np.diff(times[:, 0]) > 0).all(), "times do not rise"
            node = glb.list("nodes")[target["node"]]
            each = len(glb.list("meshes")[node["mesh"]]["weights"]) if target["path"] == "weights" else 1
            assert output.shape == (len(times) * each, widths[target["path"]]), "keys and times differ"
            if target["path"] == "rotation":
                assert np.allclose(np.linalg.norm(output, axis=1), 1, atol=5e-4), "quaternion of another length"


def _check_nothing_is_idle(glb: Glb) -> None:
    """Everything is reached from the scene or an animation; uv only where a texture takes them."""
    used: dict[str, set[int]] = {kind: set() for kind in KINDS}
    for scene in glb.list("scenes"):
        used["nodes"] |= set(scene["nodes"])
    for skin in glb.list("skins"):
        used["accessors"].add(skin["inverseBindMatrices"])
    for node in glb.list("nodes"):
        used["nodes"] |= set(node.get("children", []))
        assert "mesh" in node or _leads_to_joint(glb, node), "empty node"
        if "mesh" in node:
            used["meshes"].add(node["mesh"])
    for primitive in glb.primitives():
        material = glb.list("materials")[primitive["material"]]
        used["materials"].add(primitive["material"])
        has_texture = "baseColorTexture" in material["pbrMetallicRoughness"]
        assert ("TEXCOORD_0" in primitive["attributes"]) == has_texture, "uv without texture"
        assert ("TANGENT" in primitive["attributes"]) == ("normalTexture" in material), "tangents without normal map"
        targets = [index for target in primitive.get("targets", []) for index in target.values()]
        used["accessors"] |= {*primitive["attributes"].values(), primitive["indices"], *targets}
    for material in glb.list("materials"):
        if "baseColorTexture" in material["pbrMetallicRoughness"]:
            used["textures"].add(material["pbrMetallicRoughness"]["baseColorTexture"]["index"])
        if "normalTexture" in material:
            used["textures"].add(material["normalTexture"]["index"])
    for texture in glb.list("textures"):
        used["images"].add(texture["source"])
        used["samplers"].add(texture["sampler"])
    for animation in glb.list("animations"):
        used["accessors"] |= {sampler[end] for sampler in animation["samplers"] for end in ("input", "output")}
    used["bufferViews"] |= {image["bufferView"] for image in glb.list("images")}
    for accessor in glb.list("accessors"):
        parts = [accessor, *(accessor["sparse"][half] for half in ("indices", "values") if "sparse" in accessor)]
        used["bufferViews"] |= {part["bufferView"] for part in parts if "bufferView" in part}
    for kind, indices in used.items():
        assert indices == set(range(len(glb.list(kind)))), f"idle {kind}"
