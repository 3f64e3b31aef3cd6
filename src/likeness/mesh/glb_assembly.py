"""An assembly as a GLB file: meshes with materials of their own, morph targets with normals, a skin over joints.

After glTF 2.0: 3.7.3 skins, 3.7.2.2 morph targets. A mesh with a skin is where its joints are, so the meshes are
roots of the scene and what moves the whole head is the node above the joints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from likeness.errors import StrPath
from likeness.files import write_atomically
from likeness.mesh.animation import Animation
from likeness.mesh.assembly import Assembly, Joint
from likeness.mesh.glb_content import Content
from likeness.mesh.glb_mesh import gltf_mesh
from likeness.mesh.glb_writer import add_normal_map, add_texture, animation_entry, material_entry


def write_assembly(
    path: StrPath,
    assembly: Assembly,
    weights: Mapping[str, float] | None = None,
    name: str = "head",
    extras: Mapping[str, Any] | None = None,
    *,
    jpeg_quality: int | None = None,
    animation: Animation | None = None,
    animated: Sequence[str] = (),
) -> None:
    """Write a GLB file of several meshes that share a skeleton.

    The scene's first node, called ``name``, holds the joints and the extras; the parts' meshes follow, each called as
    its part and with a material of that name.

    Args:
        path: the file.
        assembly: what is written; at most one part has a texture.
        weights: default weights by shape; None: zeros.
        name: of the first node.
        extras: anything JSON can hold; the first node's.
        jpeg_quality: 1..100: embed the texture as JPEG; None: as PNG, without loss.
        animation: how weights and place of the head change.
        animated: the shapes that are its weights.

    Raises:
        ValueError: several textures, or an animation or extras of the wrong kind.
        FileError: cannot be written; nothing is left half-written.
    """
    write_atomically(
        path,
        assembly_bytes(
            assembly, weights, name, extras, jpeg_quality=jpeg_quality, animation=animation, animated=animated
        ),
    )


def assembly_bytes(
    assembly: Assembly,
    weights: Mapping[str, float] | None = None,
    name: str = "head",
    extras: Mapping[str, Any] | None = None,
    *,
    jpeg_quality: int | None = None,
    animation: Animation | None = None,
    animated: Sequence[str] = (),
) -> bytes:
    """The content of the file that :func:`write_assembly` writes; same arguments."""
    painted = [number for number, part in enumerate(assembly.parts) if part.mesh.texture is not None]
    if len(painted) > 1:
        raise ValueError(f"expected one texture at most, got {len(painted)}")
    content = Content()
    meshes = _meshes(content, assembly, weights or {})
    joints = _joints(assembly.joints, 1)
    first = 1 + len(joints)
    nodes: list[dict[str, Any]] = [{"name": name, "children": [1]}, *joints]
    nodes += [{"name": part.name, "mesh": number, "skin": 0} for number, part in enumerate(assembly.parts)]
    if extras:
        nodes[0]["extras"] = dict(extras)
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "likeness"},
        "scene": 0,
        "scenes": [{"nodes": [0, *range(first, len(nodes))]}],
        "nodes": nodes,
        "meshes": meshes,
        "skins": [{"joints": list(range(1, first)), "inverseBindMatrices": _unbinding(content, assembly.joints)}],
        "materials": [material_entry(part.material.name, part.material.roughness) for part in assembly.parts],
    }
    for number in painted:
        texture = assembly.parts[number].mesh.texture
        if texture is not None:
            add_texture(content, document, texture, jpeg_quality, number)
    for number, part in enumerate(assembly.parts):
        if part.material.normal_map is not None:
            add_normal_map(content, document, part.material.normal_map, number)
    if animation is not None:
        columns = {shape: column for column, shape in enumerate(animated)}
        weighted = {first + row: [columns[one] for one in part.shapes] for row, part in enumerate(assembly.parts)}
        document["animations"] = [animation_entry(content, animation, 0, weighted, len(columns))]
    return content.container(document)


def _meshes(content: Content, assembly: Assembly, weights: Mapping[str, float]) -> list[dict[str, Any]]:
    """The parts' meshes, in their order, with a material each."""
    return [
        gltf_mesh(
            content,
            part.mesh,
            part.shapes,
            [weights.get(shape, 0.0) for shape in part.shapes],
            part.name,
            material=number,
            with_normals=True,
            with_tangents=part.material.normal_map is not None,
            influence=part.influence,
        )
        for number, part in enumerate(assembly.parts)
    ]


def _joints(joints: Sequence[Joint], first: int) -> list[dict[str, Any]]:
    """The joints' nodes, the first of which is number ``first``; metres from their parents."""
    nodes = []
    for number, joint in enumerate(joints):
        origin = np.zeros(3) if joint.parent is None else np.asarray(joints[joint.parent].place)
        node: dict[str, Any] = {
            "name": joint.name,
            "translation": ((np.asarray(joint.place) - origin) * 1e-3).tolist(),
        }
        children = [first + row for row, other in enumerate(joints) if other.parent == number]
        if children:
            node["children"] = children
        nodes.append(node)
    return nodes


def _unbinding(content: Content, joints: Sequence[Joint]) -> int:
    """The accessor of the joints' inverse bind matrices, column by column."""
    matrices = np.tile(np.eye(4), (len(joints), 1, 1))
    matrices[:, 3, :3] = -1e-3 * np.array([joint.place for joint in joints])
    return content.add(matrices.reshape(-1, 16), None)
