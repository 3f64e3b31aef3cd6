"""What meshes of several parts look like: textures on some, colours at the vertices of the others, wet highlights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from likeness.images.color import linear_from_srgb
from likeness.mesh import Mesh
from likeness.mesh.assembly import Assembly, vertex_colors
from likeness.render.lighting import main_light
from likeness.render.raster import Fragments, interpolate_seen
from likeness.render.texture import Texture

REFLECTED = 0.04
"""What a wet or polished surface mirrors of light that falls straight on it (of an index of refraction of 1.5)."""

WET = 0.5
"""Materials less rough than this have highlights; skin has those of its texture."""

SHARPNESS = 5.0
"""A highlight's exponent is this over the squared roughness: windows and lamps are no points, nor are they large."""

BRIGHTEST = 0.6
"""Linear; of highlights."""


@dataclass(frozen=True, eq=False)
class Paint:
    """The surface of a mesh.

    Args:
        colors: (V, 3) linear RGB reflectance, where no texture is.
        texture: with coordinates for all triangles; None: none anywhere.
        textured: (F,) bool, the triangles whose colour is the texture's; None: all.
        exponent: (V,) >= 0, of highlights (Blinn and Phong's), the larger the smaller they are; 0: matt.
    """

    colors: np.ndarray
    texture: Texture | None = None
    textured: np.ndarray | None = None
    exponent: np.ndarray | None = None

    def seen(self, fragments: Fragments, levels: np.ndarray | None) -> np.ndarray:
        """(N, 3) float32 linear RGB of the N pixels that see something; ``levels`` are the texture's
        (:meth:`likeness.render.texture.Texture.levels_seen`)."""
        plain = interpolate_seen(fragments, self.colors)
        if self.texture is None or levels is None:
            return plain
        printed = self.texture.seen(fragments, levels)
        if self.textured is None:
            return printed
        triangle = fragments.triangle[fragments.triangle >= 0]
        return np.where(self.textured[triangle][:, None], printed, plain)

    def highlights(self, fragments: Fragments, normals: np.ndarray, light: np.ndarray) -> np.ndarray | None:
        """(N, 3) linear RGB that the pixels mirror of the main light towards a camera far away; None: no surface is
        glossy. Blinn, Models of light reflection for computer synthesized pictures, SIGGRAPH 1977, normalised.

        Args:
            fragments: of the mesh.
            normals: (N, 3) unit, light axes.
            light: (9, 3).
        """
        if self.exponent is None or not self.exponent.any():
            return None
        towards, color = main_light(light)
        half = towards + [0.0, 0.0, 1.0]
        length = float(np.linalg.norm(half))
        if length < 1e-6:
            return None
        exponent = interpolate_seen(fragments, self.exponent[:, None])[:, 0]
        glossy = np.flatnonzero(exponent > 0)
        found = np.zeros((len(exponent), 3), np.float32)
        cosine = np.clip(normals[glossy] @ (half / length), 1e-6, 1)
        strength = REFLECTED * (exponent[glossy] + 8) / 8 * cosine ** exponent[glossy]
        found[glossy] = np.minimum(strength[:, None] * color, BRIGHTEST)
        return found


def painted(assembly: Assembly) -> tuple[Mesh, Paint]:
    """The parts of an assembly as one mesh, and what it looks like: sharp textures where one part has one."""
    mesh = assembly.joined()
    colors = np.concatenate([linear_from_srgb(vertex_colors(part.mesh)) for part in assembly.parts])
    roughness = [part.material.roughness for part in assembly.parts]
    exponents = [SHARPNESS / max(one, 0.01) ** 2 if one < WET else 0.0 for one in roughness]
    exponent = np.repeat(exponents, [len(part.mesh.vertices) for part in assembly.parts])
    printed = assembly.printed()
    if printed is None:
        return mesh, Paint(colors, exponent=exponent)
    name, corners, textured = printed
    own = assembly[name].mesh
    if own.texture is None or own.uv is None:
        return mesh, Paint(colors, exponent=exponent)
    return mesh, Paint(colors, Texture(own.texture, own.uv, corners), textured, exponent)
