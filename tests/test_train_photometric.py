"""Laws of the photometric loss: lowest at the truth, blind to what is hidden or is no skin, gradients right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from likeness.assets import asset  # noqa: E402
from likeness.datasets import SyntheticFaces  # noqa: E402
from likeness.geometry.camera import Camera, project  # noqa: E402
from likeness.geometry.rotation import FRONTAL, rotation_from_euler, rotation_from_vector  # noqa: E402
from likeness.images.color import srgb_curve, srgb_from_linear  # noqa: E402
from likeness.mesh import Mesh, vertex_normals  # noqa: E402
from likeness.model.face_model import FaceModel  # noqa: E402
from likeness.render.lighting import ambient_light, shade  # noqa: E402
from likeness.render.raster import Rasterizer  # noqa: E402
from likeness.train.generate.rendered import write_set  # noqa: E402
from likeness.train.losses.photometric import (  # noqa: E402
    CELL,
    GRAZING,
    Comparison,
    PhotometricLoss,
    hidden,
    sample,
    spread_vertices,
)
from likeness.train.photos.labels import Sources  # noqa: E402
from likeness.train.photos.network import CROP_SIZE, Prediction  # noqa: E402
from likeness.train.photos.samples import SampleMaker  # noqa: E402
from likeness.train.settings import AugmentSettings  # noqa: E402

FACES = 12
SHAPE = ("identity", "expression", "rotation", "translation")
TURNED_CROPS = AugmentSettings(shift=0.03, log_scale=0.05, wide=0.0, angle=15.0, photometric=0.0, occlusion=0.0)
CAMERA = Camera.from_crop_size(CROP_SIZE)


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel.load(asset("face_model.npz"))


@pytest.fixture(scope="module")
def rendered(model: FaceModel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Prediction, torch.Tensor]:
    """What is true of rendered faces in turned crops, float64, and the crops (n, 112, 112, 3)."""
    folder: Path = tmp_path_factory.mktemp("synthetic")
    assert list(write_set(model, folder, FACES)) == [FACES]
    maker = SampleMaker(Sources(model, synthetic=SyntheticFaces(folder, model)), TURNED_CROPS)
    samples = [maker.synthetic(number, np.random.default_rng(number)) for number in range(FACES)]
    labels = {name: torch.tensor(np.stack([s.labels[name] for s in samples])).double() for name in samples[0].labels}
    images = torch.tensor(np.stack([s.image for s in samples]))
    return Prediction(**labels, score=torch.zeros(FACES)), images


def random_faces(model: FaceModel, seed: int, count: int = 3) -> tuple[Prediction, torch.Tensor]:
    """Faces in front of the crop's camera, float64, and smooth pictures of nothing."""
    rng = np.random.default_rng(seed)
    values = (
        0.5 * rng.standard_normal((count, len(model.identity_basis))),
        rng.uniform(0.05, 0.4, (count, 52)),
        FRONTAL @ rotation_from_euler(*rng.normal(0, 0.3, (3, count))),
        np.array([0.0, -20.0, 940.0]) + rng.normal(0, [10, 10, 60], (count, 3)),
        rng.standard_normal((count, len(model.albedo_names))),
        ambient_light((0.6, 0.5, 0.5)) + 0.2 * rng.standard_normal((count, 9, 3)),
        np.zeros(count),
    )
    coarse = torch.tensor(rng.uniform(60, 190, (count, 3, 9, 9)))
    pictures = torch.nn.functional.interpolate(coarse, (CROP_SIZE, CROP_SIZE), mode="bicubic").byte()
    return Prediction(*(torch.tensor(value).double() for value in values)), pictures.permute(0, 2, 3, 1).contiguous()


def with_gradients(prediction: Prediction) -> Prediction:
    return Prediction(*(value.clone().requires_grad_() for value in prediction))


def test_the_first_pixels_centre_is_0_0() -> None:
    y, x = np.mgrid[:6, :9]
    ramp = torch.tensor(np.stack([10 * x, 10 * y, 0 * x], axis=-1)[None].astype(np.uint8))
    at = torch.tensor([[[0.0, 0.0], [8.0, 5.0], [2.5, 1.0], [3.25, 4.75], [-0.5, 2.0], [20.0, -9.0]]]).double()
    expected = 10 / 255 * torch.tensor([[0.0, 0], [8, 5], [2.5, 1], [3.25, 4.75], [0, 2], [8, 0]]).double()
    torch.testing.assert_close(sample(ramp, at)[0, :, :2], expected)


def test_the_curve_is_srgb_and_goes_on_outside() -> None:
    linear = np.linspace(0, 1, 1001)
    np.testing.assert_array_equal(srgb_curve(linear), srgb_from_linear(linear))
    wide = torch.linspace(-0.5, 3.0, 1001, dtype=torch.float64, requires_grad=True)
    curve = srgb_curve(wide)
    np.testing.assert_allclose(curve.detach().numpy(), srgb_curve(wide.detach().numpy()), atol=1e-12)
    (slope,) = torch.autograd.grad(curve.sum(), wide)
    assert bool(torch.isfinite(slope).all())
    assert slope.min() > 0.1


def test_vertices_are_spread_evenly_over_the_face_in_mirrored_pairs(model: FaceModel) -> None:
    vertices, area = spread_vertices(model, 400)
    regions = model.topology.regions
    assert len(np.unique(vertices)) == len(vertices)
    assert 400 <= len(vertices) <= 401
    assert regions["face"][vertices].all()
    assert not (regions["eyes"] | regions["mouth"] | regions["scalp"])[vertices].any()
    assert set(model.topology.mirror[vertices].tolist()) == set(vertices.tolist())
    assert area.sum() == pytest.approx(1.0)
    apart = np.linalg.norm(model.mean[vertices][:, None] - model.mean[vertices], axis=-1) + 1e9 * np.eye(
        len(vertices)
    )
    reach = np.linalg.norm(model.mean[regions["face"]][:, None] - model.mean[vertices], axis=-1).min(1)
    assert np.quantile(apart.min(1), 0.05) > 0.5 * reach.max()


def test_a_model_without_regions_and_mirror_is_compared_everywhere(small_model: FaceModel) -> None:
    bare = replace(small_model, topology=replace(small_model.topology, mirror=None, regions={}))
    vertices, area = spread_vertices(bare, 10_000)
    assert sorted(vertices.tolist()) == list(range(len(bare.mean)))
    own = Mesh(bare.mean, bare.topology.triangles).vertex_areas()[vertices]
    np.testing.assert_allclose(area, own / own.sum(), rtol=1e-5)


def test_positions_normals_and_colours_are_those_of_the_face_model(
    model: FaceModel, rendered: tuple[Prediction, torch.Tensor]
) -> None:
    truth, _ = rendered
    loss = PhotometricLoss(model).double()
    points, normals = loss.surface(truth)
    colors = loss.colors(truth, normals).numpy()
    angles = []
    for row in range(FACES):
        rotation, light = truth.rotation[row].numpy(), truth.light[row].numpy()
        vertices = model.vertices(truth.identity[row].numpy(), truth.expression[row].numpy()) @ rotation.T
        expected = (vertices + truth.translation[row].numpy())[loss.vertices]
        np.testing.assert_allclose(points[row], expected, atol=1e-3)
        exact = vertex_normals(vertices, model.topology.triangles)[loss.vertices]
        angles.append(np.degrees(np.arccos(np.clip((exact * normals[row].numpy()).sum(1), -1, 1))))
        albedo = model.albedo(truth.albedo[row].numpy())[loss.vertices]
        linear = shade(normals[row].numpy() @ FRONTAL, albedo, light)
        np.testing.assert_allclose(colors[row].clip(0, 1), srgb_from_linear(linear), atol=1e-4)
    # Area-weighted normals are not linear in the codes, ours are the cross product of two things that are.
    assert np.median(angles) < 1.0
    assert np.quantile(angles, 0.99) < 10.0


def moved(truth: Prediction, name: str) -> Prediction:
    """The truth with one thing wrong."""
    value = getattr(truth, name).clone()
    rng = np.random.default_rng(0)
    if name == "albedo":
        value[:, 0] += 1.0
    elif name == "light":
        value *= 1.4
    elif name == "translation":
        value[:, :2] += 8.0
    elif name == "rotation":
        value = torch.tensor(rotation_from_vector(np.array([0.05, 0.12, 0.05]))) @ value
    else:
        value = value + torch.tensor(rng.standard_normal(value.shape))
    return truth._replace(**{name: value})


@pytest.mark.parametrize("name", ["albedo", "light", "translation", "rotation", "identity"])
def test_the_truth_costs_less_than_a_face_with_one_thing_wrong(
    model: FaceModel, rendered: tuple[Prediction, torch.Tensor], name: str
) -> None:
    truth, images = rendered
    loss = PhotometricLoss(model).double()
    right, wrong = (loss(one, images, torch.ones(FACES)) for one in (truth, moved(truth, name)))
    assert right.median() < 0.01
    assert (right < wrong).all(), (right, wrong)
    assert wrong.mean() > 1.5 * right.mean()


def test_gradients_agree_with_finite_differences(small_model: FaceModel) -> None:
    """Weights (what is seen, what agrees) are held still, as they are without gradients."""
    loss = PhotometricLoss(small_model, detach_shape=False).double()
    start, images = random_faces(small_model, 0)
    held = loss.compare(start, images)
    assert 0.2 < (held.agreement * held.seen).sum() / held.seen.sum() < 0.95

    def total(*values: torch.Tensor) -> torch.Tensor:
        compared = loss.compare(Prediction(*values, score=start.score), images)
        return loss.cost(compared._replace(seen=held.seen, width=held.width, agreement=held.agreement))

    values = [value.clone().requires_grad_() for value in start[:-1]]
    assert torch.autograd.gradcheck(total, values, eps=1e-6, atol=1e-5, rtol=1e-3)


def test_the_weights_have_no_gradient(small_model: FaceModel) -> None:
    loss = PhotometricLoss(small_model, detach_shape=False).double()
    start, images = random_faces(small_model, 1)
    held = loss.compare(start, images)
    free, still = with_gradients(start), with_gradients(start)
    loss(free, images, torch.ones(3)).sum().backward()
    compared = loss.compare(still, images)
    loss.cost(compared._replace(seen=held.seen, width=held.width, agreement=held.agreement)).sum().backward()
    for name in (*SHAPE, "albedo", "light"):
        gradient = getattr(free, name).grad
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(gradient, getattr(still, name).grad)


def test_by_default_colours_teach_neither_shape_nor_pose(small_model: FaceModel) -> None:
    prediction, images = random_faces(small_model, 2)
    prediction = with_gradients(prediction)
    PhotometricLoss(small_model).double()(prediction, images, torch.ones(3)).sum().backward()
    assert all(getattr(prediction, name).grad is None for name in SHAPE)
    assert prediction.albedo.grad.abs().max() > 0
    assert prediction.light.grad.abs().max() > 0


def test_a_hand_before_the_face_does_not_pull_at_skin_and_light(
    model: FaceModel, rendered: tuple[Prediction, torch.Tensor]
) -> None:
    """The failure: without agreement a fifth of the face that is no skin says how dark skin and light are."""
    truth, images = rendered
    covered = images.clone()
    covered[:, 60:95, 30:62] = torch.tensor([30, 90, 60], dtype=torch.uint8)
    loss = PhotometricLoss(model).double()
    start = with_gradients(truth._replace(light=truth.light * 0.95))

    def everything(compared: Comparison) -> torch.Tensor:
        """The same cost for wide agreement: a plain square."""
        width = torch.full_like(compared.width, 1e3)
        return 1e3 * loss.cost(compared._replace(width=width, agreement=torch.ones_like(compared.agreement)))

    def changed(cost: Callable[[Comparison], torch.Tensor]) -> float:
        pulls = []
        for picture in (images, covered):
            total = cost(loss.compare(start, picture)).sum()
            gradients = torch.autograd.grad(total, (start.albedo, start.light))
            pulls.append(torch.cat([gradient.flatten(1) for gradient in gradients], 1))
        clean, hand = pulls
        return float(((hand - clean).norm(dim=1) / clean.norm(dim=1)).median())

    assert changed(loss.cost) < 0.35  # the covered vertices' own share is gone
    assert changed(everything) > 1.0


def test_what_is_behind_does_not_count_and_slopes_do_not_hide_themselves() -> None:
    x, y = np.meshgrid(np.arange(-60.0, 60.0, 3.0), np.arange(-60.0, 60.0, 3.0))
    wall = np.stack([x, y, np.full_like(x, 950.0)], -1).reshape(-1, 3)
    nose = np.stack([0.2 * x, 0.2 * y, np.full_like(x, 925.0)], -1).reshape(-1, 3)
    points = torch.tensor(np.concatenate([wall, nose]))[None]
    found = hidden(points[..., 2], torch.ones(points.shape[:2]), project(CAMERA, points), CAMERA)[0].numpy()
    inner = np.abs(wall[:, :2]).max(1) < 12 - 2 * CELL * 950 / CAMERA.focal / 2
    outer = np.abs(wall[:, :2]).max(1) > 12 + CELL * 950 / CAMERA.focal
    assert found[: len(wall)][inner].all()
    assert not found[: len(wall)][outer].any()
    assert not found[len(wall) :].any()
    for angle in np.radians([0, 30, 45, 60]):
        slope = torch.tensor(wall + np.array([0.0, 0.0, 1.0]) * wall[:, :1] * np.tan(angle))[None]
        normal = torch.tensor([np.sin(angle), 0.0, -np.cos(angle)])
        cosine = -(slope * normal).sum(-1) / slope.norm(dim=-1)
        assert not hidden(slope[..., 2], cosine, project(CAMERA, slope), CAMERA)[cosine > GRAZING].any(), angle


def test_in_half_profile_the_far_cheek_behind_the_nose_does_not_count(model: FaceModel) -> None:
    """Against the rasteriser: what it hides of what faces the camera."""
    faces, images = random_faces(model, 3, 4)
    yaw = np.radians([35.0, 50.0, -50.0, 60.0])
    rotation = torch.tensor(FRONTAL @ rotation_from_euler(yaw, 0.0, 0.0))
    identity = torch.tensor(model.space.project(np.random.default_rng(0).standard_normal(faces.identity.shape)))
    faces = faces._replace(rotation=rotation, identity=identity, expression=0 * faces.expression)
    loss = PhotometricLoss(model).double()
    points, normals = loss.surface(faces)
    facing = (-(points * normals).sum(-1) / points.norm(dim=-1) > GRAZING).numpy()
    said = loss.compare(faces, images).seen.numpy() > 0
    behind = np.stack([_behind(model, faces, row, points[row].numpy()) for row in range(4)])
    assert (behind & facing).sum() > 40
    assert said[behind & facing].mean() < 0.25
    assert said[~behind & facing].mean() > 0.9
    assert not said[~facing].any()


def _behind(model: FaceModel, faces: Prediction, row: int, points: np.ndarray) -> np.ndarray:
    """(V,) more than 2 mm behind what a fine depth buffer has around the vertex's pixel."""
    camera = CAMERA.scaled(4)
    rasterizer = Rasterizer(model.topology.triangles, len(model.mean), camera.size)
    vertices = model.vertices(faces.identity[row].numpy(), faces.expression[row].numpy())
    fragments = rasterizer(vertices, camera, faces.rotation[row].numpy(), faces.translation[row].numpy())
    depth = np.where(fragments.triangle >= 0, fragments.depth, np.inf)
    column, line = np.rint(project(camera, points)).astype(int).clip(1, camera.size[0] - 2).T
    around = [depth[line + a, column + b] for a in (-1, 0, 1) for b in (-1, 0, 1)]
    return points[:, 2] > np.max(around, axis=0) + 2.0


def mirrored(model: FaceModel) -> FaceModel:
    """The model of mirror images, on mirrored triangles."""
    partner, flip = model.topology.mirror, np.array([-1.0, 1.0, 1.0], np.float32)
    return replace(
        model,
        mean=model.mean[partner] * flip,
        identity_basis=model.identity_basis[:, partner] * flip,
        expression_basis=model.expression_basis[:, partner] * flip,
        albedo_mean=model.albedo_mean[partner],
        albedo_basis=model.albedo_basis[:, partner],
        topology=replace(
            model.topology,
            triangles=partner[model.topology.triangles][:, ::-1],
            regions={name: region[partner] for name, region in model.topology.regions.items()},
        ),
    )


def test_a_mirrored_face_in_a_mirrored_picture_costs_the_same(
    model: FaceModel, rendered: tuple[Prediction, torch.Tensor]
) -> None:
    truth, images = rendered
    wrong = moved(moved(truth, "light"), "identity")
    flip, light = torch.tensor([-1.0, 1.0, 1.0]).double(), wrong.light.clone()
    light[:, [3, 4, 7]] *= -1  # the harmonics that are odd in x
    other = wrong._replace(
        rotation=flip[:, None] * wrong.rotation * flip, translation=wrong.translation * flip, light=light
    )
    gate = torch.ones(FACES)
    here = PhotometricLoss(model).double()(wrong, images, gate)
    there = PhotometricLoss(mirrored(model)).double()(other, images.flip(2), gate)
    torch.testing.assert_close(here, there, atol=1e-6, rtol=1e-4)


def test_a_closed_gate_costs_nothing_and_teaches_nothing(small_model: FaceModel) -> None:
    prediction, images = random_faces(small_model, 4)
    loss = PhotometricLoss(small_model).double()
    assert torch.equal(loss(prediction, images, torch.zeros(3)), torch.zeros(3).double())
    prediction = with_gradients(prediction)
    costs = loss(prediction, images, torch.tensor([1.0, 0.0, 0.5]))
    costs.sum().backward()
    assert costs[1] == 0
    assert (costs[[0, 2]] > 0).all()
    for value in (prediction.albedo, prediction.light):
        assert torch.equal(value.grad[1], torch.zeros_like(value[1]))
        assert value.grad[0].abs().max() > 0
    alone = loss(Prediction(*(value[2:] for value in prediction)), images[2:], torch.ones(1))
    torch.testing.assert_close(costs[2:], alone)  # a gate opens, it does not scale


@pytest.mark.parametrize("level", [0, 128, 255])
def test_pictures_of_one_colour_and_wild_predictions_are_finite(small_model: FaceModel, level: int) -> None:
    prediction, images = random_faces(small_model, 5)
    images = torch.full_like(images, level)
    wild = torch.tensor([[0.0, 0.0, -3000.0], [1e5, 0.0, 900.0], [0.0, -20.0, 940.0]]).double()
    light = prediction.light * torch.tensor([1.0, 1.0, -1e4])[:, None, None]
    prediction = with_gradients(prediction._replace(translation=wild, light=light))
    costs = PhotometricLoss(small_model, detach_shape=False).double()(prediction, images, torch.ones(3))
    costs.sum().backward()
    assert bool(torch.isfinite(costs).all())
    assert not costs[:2].any()  # behind the camera and outside of the crop nothing is seen
    for name in (*SHAPE, "albedo", "light"):
        assert bool(torch.isfinite(getattr(prediction, name).grad).all()), name


def test_where_hardly_anything_agrees_nothing_is_learned(
    model: FaceModel, rendered: tuple[Prediction, torch.Tensor]
) -> None:
    """A pose that is far off, or a picture of something else."""
    truth, images = rendered
    prediction = with_gradients(truth)
    costs = PhotometricLoss(model).double()(prediction, (images // 255), torch.ones(FACES))
    costs.sum().backward()
    assert costs.min() > 0.02
    assert not prediction.albedo.grad.any()
    assert not prediction.light.grad.any()


def test_a_clipped_pixel_does_not_contradict_a_brighter_prediction(small_model: FaceModel) -> None:
    prediction, images = random_faces(small_model, 6)
    prediction = prediction._replace(light=torch.tensor(ambient_light((40.0, 40.0, 40.0))).double().expand(3, 9, 3))
    loss = PhotometricLoss(small_model).double()
    assert loss(prediction, torch.full_like(images, 255), torch.ones(3)).max() == 0
    assert loss(prediction, torch.full_like(images, 250), torch.ones(3)).min() > 0.01
