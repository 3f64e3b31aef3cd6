"""Where the meshes of a glTF scene are: its nodes' transforms, skins at rest (glTF 2.0: 3.5 scenes, 3.7.3 skins)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.mesh.glb_document import Document, whole


@dataclass(frozen=True, eq=False)
class Placed:
    """A mesh of the scene.

    Args:
        mesh: its index.
        node: the node that has it.
        matrix: (4, 4) scene from mesh.
        joints: (J, 4, 4) the same of each joint of its skin, at rest; None: it has no skin.
    """

    mesh: int
    node: dict[str, Any]
    matrix: np.ndarray
    joints: np.ndarray | None = None


def placed_meshes(document: Document) -> list[Placed]:
    """All meshes of the file's scene, depth first; of a file without nodes, all meshes as they are.

    Raises:
        ValueError: none, or a transform that is not finite.
    """
    if not document.json.get("nodes"):
        return [Placed(i, {}, np.eye(4)) for i in range(len(document.json.get("meshes", [])))]
    matrices = _scene_matrices(document)
    found = []
    for index, matrix in matrices.items():
        node = document.item("nodes", index)
        if "mesh" in node:
            joints = _joints(document, node["skin"], matrices) if "skin" in node else None
            found.append(Placed(whole(node["mesh"]), node, matrix, joints))
    if not found:
        raise ValueError("no node of the scene has a mesh")
    return found


def _scene_matrices(document: Document) -> dict[int, np.ndarray]:
    """Node -> its (4, 4) matrix in the scene, depth first."""
    waiting = [(index, np.eye(4)) for index in reversed(_roots(document))]
    matrices: dict[int, np.ndarray] = {}
    while waiting:
        index, parent = waiting.pop()
        if whole(index) in matrices:
            continue
        node = document.item("nodes", index)
        matrix = parent @ _local_matrix(node)
        if not np.isfinite(matrix).all():
            raise ValueError(f"node {index} has a transform that is not finite")
        matrices[index] = matrix
        waiting += [(child, matrix) for child in reversed(node.get("children", []))]
    return matrices


def _roots(document: Document) -> list[int]:
    """The scene's nodes; where the file has no scene, or an empty one, all nodes that are nobody's children."""
    if document.json.get("scenes"):
        nodes: list[int] = document.item("scenes", document.json.get("scene", 0)).get("nodes", [])
        if nodes:
            return nodes
    nodes = document.json["nodes"]
    children = {child for node in document.json["nodes"] for child in node.get("children", [])}
    return [index for index in range(len(nodes)) if index not in children] or [0]


def _joints(document: Document, skin: object, matrices: dict[int, np.ndarray]) -> np.ndarray | None:
    """(J, 4, 4) scene from mesh for each joint; None where a joint is not in the scene."""
    spec = document.item("skins", skin)
    joints = [whole(joint) for joint in spec["joints"]]
    if not joints or not all(joint in matrices for joint in joints):
        return None
    scene_from_joint = np.stack([matrices[joint] for joint in joints])
    if "inverseBindMatrices" not in spec:
        return scene_from_joint
    columns = document.accessor(spec["inverseBindMatrices"], (16,))[: len(joints)].astype(np.float64)
    return scene_from_joint @ columns.reshape(len(joints), 4, 4).transpose(0, 2, 1)


def _local_matrix(node: dict[str, Any]) -> np.ndarray:
    """A node's transform: its matrix (column by column), or translation * rotation (x y z w) * scale."""
    if "matrix" in node:
        return np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    x, y, z, w = (float(value) for value in node.get("rotation", (0, 0, 0, 1)))
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] *= np.array(node.get("scale", (1, 1, 1)), dtype=np.float64).reshape(3)
    matrix[:3, 3] = np.array(node.get("translation", (0, 0, 0)), dtype=np.float64).reshape(3)
    return matrix
