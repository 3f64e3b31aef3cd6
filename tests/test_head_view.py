"""One head view and one palette for every picture that shows heads and errors."""

from __future__ import annotations

import numpy as np

from likeness.mesh import Mesh
from likeness.model.face_model import FaceModel
from likeness.register.report import registration_picture
from likeness.render.error_map import error_colors
from likeness.render.head_view import head_view


def test_a_view_is_of_the_size_asked_for_and_its_middle_in_the_middle(small_model: FaceModel) -> None:
    triangles = small_model.topology.triangles
    low, high = small_model.mean.min(0), small_model.mean.max(0)
    view = head_view(small_model.mean, triangles, (low + high) / 2, 1.5 * float((high - low).max()), 96)
    assert (view.shape, view.dtype) == ((96, 96, 3), np.uint8)
    rows, columns = np.nonzero((view < 250).any(axis=2))
    assert abs((rows.min() + rows.max()) / 2 - 47.5) < 3
    assert abs((columns.min() + columns.max()) / 2 - 47.5) < 3
    assert (view[0, 0] == 255).all()


def test_moving_head_and_middle_together_changes_nothing(small_model: FaceModel) -> None:
    triangles, shift = small_model.topology.triangles, np.array([30.0, -20.0, 11.0])
    here = head_view(small_model.mean, triangles, np.zeros(3), 300.0, 64, yaw=0.4)
    there = head_view(small_model.mean + shift, triangles, shift, 300.0, 64, yaw=0.4)
    assert np.abs(here.astype(int) - there).max() <= 2


def test_a_registrations_colours_are_those_of_error_maps(small_model: FaceModel) -> None:
    mesh = Mesh(small_model.mean, small_model.topology.triangles)
    picture = registration_picture(mesh, mesh, np.full(len(mesh.vertices), 0.5), median=0.5, p95=0.5, side=96)
    bar = picture[:, 3 * 96 :].reshape(-1, 3)
    for share in (0.0, 1.0):
        color = np.rint(255 * error_colors(np.array(share), 1.0))
        assert (np.abs(bar - color).max(axis=1) <= 6).any()
