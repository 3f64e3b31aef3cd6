"""Spherical-harmonics light against integrals over the sphere."""

from __future__ import annotations

import numpy as np
import pytest

from likeness.images.color import linear_from_srgb, srgb_from_linear
from likeness.render.lighting import ambient_light, distant_light, reflection_polynomial, sh_basis, shade


def sphere_quadrature(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Directions (N, 3) and weights (N,) that integrate over the sphere (Gauss-Legendre in z, even around it)."""
    z, weight = np.polynomial.legendre.leggauss(n)
    phi = (np.arange(2 * n) + 0.5) * np.pi / n
    r = np.sqrt(1 - z * z)[:, None]
    directions = np.stack(np.broadcast_arrays(r * np.cos(phi), r * np.sin(phi), z[:, None]), -1)
    return directions.reshape(-1, 3), np.repeat(weight * np.pi / n, 2 * n)


def test_harmonics_are_orthonormal() -> None:
    directions, weights = sphere_quadrature(8)
    Y = sh_basis(directions)
    np.testing.assert_allclose((Y * weights[:, None]).T @ Y, np.eye(9), atol=1e-12)


def test_shading_is_the_integral_of_light_times_cosine_over_pi() -> None:
    rng = np.random.default_rng(0)
    sh = rng.normal(size=(9, 3))
    normals = rng.normal(size=(5, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    albedo = rng.uniform(size=(5, 3))
    directions, weights = sphere_quadrature(200)
    radiance = sh_basis(directions) @ sh
    cosine = np.maximum(normals @ directions.T, 0)
    expected = albedo * ((cosine * weights) @ radiance) / np.pi
    np.testing.assert_allclose(shade(normals, albedo, sh), expected, atol=1e-3)
    x, y, z = normals.T
    monomials = np.stack([np.ones(5), x, y, z, x * y, y * z, z * x, x * x, y * y, z * z], -1)
    np.testing.assert_allclose(
        albedo * (monomials @ reflection_polynomial(sh)), shade(normals, albedo, sh), atol=1e-12
    )


def test_lights_show_the_colours_they_were_made_of() -> None:
    directions, _ = sphere_quadrature(6)
    albedo, color = np.full((len(directions), 3), 0.7), np.array([0.9, 0.5, 0.2])
    np.testing.assert_allclose(shade(directions, albedo, ambient_light(color)), albedo * color, rtol=1e-6)
    towards = np.array([0.6, 0.0, 0.8])
    lit = shade(directions, np.ones((len(directions), 3)), distant_light(3 * towards, color)) / color
    lambert = np.maximum(directions @ towards, 0)[:, None]
    assert np.abs(lit - lambert).max() < 0.1
    with pytest.raises(ValueError, match="direction"):
        distant_light((0, 0, 0))


def test_light_is_the_same_in_torch_and_has_gradients() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    normals, albedo, sh = rng.normal(size=(2, 7, 3)), rng.uniform(size=(2, 7, 3)), rng.normal(size=(2, 9, 3))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    given = [torch.tensor(a, requires_grad=True) for a in (normals, albedo, sh)]
    result = shade(*given)
    np.testing.assert_allclose(result.detach().numpy(), shade(normals, albedo, sh), atol=1e-12)
    assert torch.autograd.gradcheck(shade, given)


def test_gamma_round_trip() -> None:
    bytes_ = np.arange(256) / 255
    np.testing.assert_allclose(srgb_from_linear(linear_from_srgb(bytes_)), bytes_, atol=1e-6)
