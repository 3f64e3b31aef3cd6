"""An assembly as a Wavefront OBJ file: an object and a material for each part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from likeness.images.color import linear_from_srgb, srgb_from_linear
from likeness.mesh.assembly import Assembly, Material
from likeness.mesh.fields import MeshFields
from likeness.mesh.obj_writer import FIRST, face_lines, image_bytes, normal_map_lines, referable, vertex_lines


def assembly_obj_files(stem: str, assembly: Assembly, *, image: str | None = None) -> dict[str, bytes]:
    """The parts of an assembly as objects of one OBJ file, as they are (no shapes, no joints), each with a material
    of its name, or one for each group of a part that has groups; their diffuse colours are the texture or the mean of
    the vertex colours, which are written too.

    Args:
        stem: of the files' names.
        assembly: at most one part has a texture.
        image: the texture's file name, as for :func:`likeness.mesh.obj_writer.write_obj`.

    Returns:
        names -> contents, the OBJ file last.
    """
    files: dict[str, bytes] = {}
    beside = referable(stem)
    text, materials = [FIRST, f"mtllib {beside}.mtl\n"], []
    before, before_uv = 0, 0
    for part in assembly.parts:
        mesh = part.mesh
        picture = None
        if mesh.texture is not None:
            picture = f"{beside}.png" if image is None else referable(image)
            files[picture] = image_bytes(mesh.texture, picture)
        text += [f"o {part.name}\n", vertex_lines(mesh)]
        for name, kept in (mesh.groups or {"": np.arange(len(mesh.triangles))}).items():
            label = f"{part.name}-{name}" if name else part.name
            only = _some(mesh, kept)
            text += [f"usemtl {label}\n", face_lines(only, before, before_uv)]
            shine = f"Ks 0.04 0.04 0.04\nNs {_shininess(part.material):.0f}\n"
            shown = "" if picture is None else f"map_Kd {picture}\n"
            if part.material.normal_map is not None:
                shown += normal_map_lines(files, beside, part.material.normal_map)
            materials.append(f"newmtl {label}\n{_diffuse(only)}\n{shine}{shown}")
        before, before_uv = before + len(mesh.vertices), before_uv + (0 if mesh.uv is None else len(mesh.uv))
    files[f"{beside}.mtl"] = "".join(materials).encode(errors="surrogateescape")
    return {**files, f"{stem}.obj": "".join(text).encode(errors="surrogateescape")}


def _some(mesh: MeshFields, kept: np.ndarray) -> MeshFields:
    """Some triangles of a mesh, with all its vertices."""
    uv_triangles = None if mesh.uv_triangles is None else mesh.uv_triangles[kept]
    return replace(mesh, triangles=mesh.triangles[kept], uv_triangles=uv_triangles, quads=None, groups=None)


def _diffuse(mesh: MeshFields) -> str:
    if mesh.texture is not None or mesh.colors is None:
        return "Kd 1 1 1"
    mean = linear_from_srgb(mesh.colors[np.unique(mesh.triangles)]).mean(0)
    return "Kd " + " ".join(f"{value:.4f}" for value in srgb_from_linear(mean).tolist())


def _shininess(material: Material) -> float:
    """The exponent of Phong's model whose highlight is about as wide (Walter et al. 2007: 2 / alpha² - 2)."""
    return min(2 / max(material.roughness, 0.05) ** 4 - 2, 1000.0)
