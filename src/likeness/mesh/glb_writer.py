"""Binary glTF 2.0, written: one file that three.js, Blender and Unity open as an animatable head.

After the Khronos specification (glTF 2.0: 3.6 accessors and sparse accessors, 3.7.2.2 morph targets, 3.9 materials,
4.4 the GLB container). glTF's unit is the metre, so millimetres are divided by 1000; the axes are the package's own.
The reader is in `likeness.mesh.glb_reader` and offered here as `read_glb`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from likeness.errors import StrPath
from likeness.files import write_atomically
from likeness.geometry.quaternions import continuous_quaternions
from likeness.images.encode import jpeg_bytes, png_bytes
from likeness.mesh.animation import Animation
from likeness.mesh.fields import MeshFields
from likeness.mesh.glb_content import Content
from likeness.mesh.glb_mesh import gltf_mesh
from likeness.mesh.glb_reader import read_glb

__all__ = ["glb_bytes", "read_glb", "write_glb"]

_ROUGHNESS = 0.6
_LINEAR, _LINEAR_MIPMAP_LINEAR = 9729, 9987  # texture filters


def write_glb(
    path: StrPath,
    mesh: MeshFields,
    shapes: Mapping[str, np.ndarray] | None = None,
    weights: Sequence[float] | np.ndarray | None = None,
    name: str = "head",
    extras: Mapping[str, Any] | None = None,
    *,
    jpeg_quality: int | None = None,
    animation: Animation | None = None,
) -> None:
    """Write a GLB file with a mesh and its morph targets (blendshapes).

    Args:
        path: the file.
        mesh: at least one triangle of three different corners; others are left out. Vertex i of the mesh is vertex i
            of the file; copies that uv seams need follow after the last. Colours are written only without a texture
            (glTF would multiply them), uv only with one (nothing would use them).
        shapes: name -> (V, 3) displacements in mm at weight 1; in the file by these names
            (``mesh.extras.targetNames``) and in this order. Displacements under 0.0001 mm are dropped.
        weights: (S,) default weights of the targets; None: zeros.
        name: of the node and the mesh.
        extras: anything JSON can hold; the node's ``extras`` (three.js: userData, Blender: custom properties).
        jpeg_quality: 1..100: embed the texture as JPEG; None: as PNG, without loss.
        animation: how weights and place of the head change; its weights are those of ``shapes``.

    Raises:
        ValueError: no such triangles, or shapes, weights, animation or extras of the wrong kind.
        FileError: cannot be written; nothing is left half-written.
    """
    write_atomically(
        path, glb_bytes(mesh, shapes, weights, name, extras, jpeg_quality=jpeg_quality, animation=animation)
    )


def glb_bytes(
    mesh: MeshFields,
    shapes: Mapping[str, np.ndarray] | None = None,
    weights: Sequence[float] | np.ndarray | None = None,
    name: str = "head",
    extras: Mapping[str, Any] | None = None,
    *,
    jpeg_quality: int | None = None,
    animation: Animation | None = None,
    normal_map: np.ndarray | None = None,
) -> bytes:
    """The content of the file that `write_glb` writes; same arguments, and the normal map (H, W, 3) uint8 of a mesh
    with a texture (:class:`likeness.mesh.assembly.Material`)."""
    content = Content()
    shapes = {} if shapes is None else shapes
    written = gltf_mesh(content, mesh, shapes, weights, name, with_tangents=normal_map is not None)
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "likeness"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": name, "mesh": 0}],
        "meshes": [written],
        "materials": [material_entry("surface", _ROUGHNESS)],
    }
    if extras:
        document["nodes"][0]["extras"] = extras
    if mesh.texture is not None:
        add_texture(content, document, mesh.texture, jpeg_quality)
    if normal_map is not None:
        add_normal_map(content, document, normal_map)
    if animation is not None:
        document["animations"] = [animation_entry(content, animation, 0, {0: range(len(shapes))}, len(shapes))]
    return content.container(document)


def animation_entry(
    content: Content, animation: Animation, placed: int, weighted: Mapping[int, Sequence[int]], count: int
) -> dict[str, Any]:
    """Samplers and channels (glTF 2.0, 3.11), all linear over one array of times.

    Args:
        content: the binary chunk.
        animation: of ``count`` weights.
        placed: the node that it turns and moves.
        weighted: nodes of meshes -> which of the weights are those of their targets, in order.
        count: of weights.

    Raises:
        ValueError: another number of weights, or nothing that moves.
    """
    if np.shape(animation.weights)[1] != count:
        raise ValueError(f"expected an animation of {count} weights, got {np.shape(animation.weights)[1]}")
    outputs: list[tuple[int, str, np.ndarray]] = [
        (node, "weights", np.asarray(animation.weights)[:, list(columns)].reshape(-1, 1))
        for node, columns in weighted.items()
        if len(columns)
    ]
    if animation.rotation is not None:
        outputs.append((placed, "rotation", continuous_quaternions(animation.rotation)))
    if animation.translation is not None:
        outputs.append((placed, "translation", np.asarray(animation.translation, np.float64) * 1e-3))
    if not outputs:
        raise ValueError("expected an animation of shapes or of the head's place, got neither")
    times = content.add(np.reshape(animation.times, (-1, 1)), None, bounds=True)
    return {
        "name": animation.name,
        "samplers": [
            {"input": times, "interpolation": "LINEAR", "output": content.add(rows, None)} for *_, rows in outputs
        ],
        "channels": [
            {"sampler": number, "target": {"node": node, "path": path}}
            for number, (node, path, _) in enumerate(outputs)
        ],
    }


def material_entry(name: str, roughness: float) -> dict[str, Any]:
    """A material's entry in ``materials``: no metal, white but for texture or vertex colours."""
    return {"name": name, "pbrMetallicRoughness": {"metallicFactor": 0, "roughnessFactor": roughness}}


def add_texture(
    content: Content, document: dict[str, Any], pixels: np.ndarray, jpeg_quality: int | None, material: int = 0
) -> None:
    """Embed a texture (H, W, 3) uint8, as JPEG or (None) PNG, as a material's base colour."""
    shown = {"index": _add_image(content, document, pixels, jpeg_quality)}
    document["materials"][material]["pbrMetallicRoughness"]["baseColorTexture"] = shown


def add_normal_map(content: Content, document: dict[str, Any], pixels: np.ndarray, material: int = 0) -> None:
    """Embed a normal map (H, W, 3) uint8 as a material's, without loss."""
    document["materials"][material]["normalTexture"] = {"index": _add_image(content, document, pixels, None)}


def _add_image(content: Content, document: dict[str, Any], pixels: np.ndarray, jpeg_quality: int | None) -> int:
    """Embed a picture; the number of its texture."""
    image = png_bytes(pixels) if jpeg_quality is None else jpeg_bytes(pixels, jpeg_quality)
    mime = "image/png" if jpeg_quality is None else "image/jpeg"
    images, textures = document.setdefault("images", []), document.setdefault("textures", [])
    document["samplers"] = [{"magFilter": _LINEAR, "minFilter": _LINEAR_MIPMAP_LINEAR}]
    images.append({"bufferView": content.view(image), "mimeType": mime})
    textures.append({"source": len(images) - 1, "sampler": 0})
    return len(textures) - 1
