"""Nothing on a texture is lighter than white beards: what is, is light that the harmonics missed."""

from __future__ import annotations

import numpy as np
import pytest

from likeness.reconstruct.texture.layers import WHITEST, _beyond_white

SIDE = 128


def lightest(log_reflectance: float) -> float:
    """What remains of an evenly light patch on usual skin, in its middle."""
    coarse = np.full((SIDE, SIDE, 3), -1.0, np.float32)
    coarse[40:90, 40:90] = log_reflectance
    left = coarse - _beyond_white(coarse, np.ones((SIDE, SIDE), np.float32))
    assert np.abs(left[:16] - coarse[:16]).max() < 1e-3  # elsewhere nothing changes
    return float(left[64, 64].mean())


def test_skin_stays_and_what_cannot_be_is_brought_down_in_order() -> None:
    assert lightest(-1.0) == pytest.approx(-1.0, abs=1e-3)
    assert lightest(WHITEST[0]) == pytest.approx(WHITEST[0], abs=1e-3)
    found = [lightest(one) for one in (-0.6, -0.4, 0.0, 0.5, 1.0)]
    assert found == sorted(found)
    assert found[0] == pytest.approx(-0.6, abs=0.01)
    assert found[-1] <= sum(WHITEST) + 0.05


def test_what_is_not_seen_has_no_part_in_it() -> None:
    coarse = np.full((SIDE, SIDE, 3), -1.0, np.float32)
    coarse[:, :64] = 2.0
    weight = np.ones((SIDE, SIDE), np.float32)
    weight[:, :64] = 0.0
    assert np.abs(_beyond_white(coarse, weight)[:, 70:]).max() < 1e-3
