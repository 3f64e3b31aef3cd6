"""Laws of whole heads, over thirty random people and eight extreme ones of the embedded model."""

from __future__ import annotations

import numpy as np
import pytest
from whole_heads import SIDES, both, default_model, people, seen

from likeness import Mesh
from likeness.geometry.camera import Camera, image_center
from likeness.geometry.landmarks import INNER_LIPS, JAW_COUNT
from likeness.geometry.rotation import FRONTAL
from likeness.mesh.assembly import Assembly, Joint, Material, Part
from likeness.model.head import has_whole_head, iris_color, whole_head
from likeness.model.head.anatomy import anatomy_of
from likeness.model.head.eyes import GAZE, Eyeball, eyeball_mesh
from likeness.model.head.jaw import fitted_jaw
from likeness.model.head.lids import _farthest, _from_corners, _lower_skin
from likeness.model.head.tongue import JAW_SHARE
from likeness.render.raster import rasterize_view

EVERYBODY = {"count": 30, "extremes": 4}
SOME = {"count": 4, "extremes": 1}


def eyeballs(head: Assembly) -> list[Eyeball]:
    """The two spheres: the middle of their poles, and half the distance."""
    points = head["eyes"].mesh.vertices.astype(np.float64).reshape(2, -1, 3)
    return [
        Eyeball(side, (ball[0] + ball[-1]) / 2, float(np.linalg.norm(ball[0] - ball[-1])) / 2)
        for side, ball in zip(SIDES, points, strict=True)
    ]


def skin_rows() -> np.ndarray:
    """Which of the model's vertices the skin is, without the one that closes the neck."""
    model = default_model()
    anatomy, triangles = anatomy_of(model), model.topology.triangles
    return np.unique(triangles[anatomy.skin[triangles].all(1) & ~anatomy.cavity[triangles].any(1)])


def mouth_middle(head: Assembly) -> np.ndarray:
    teeth = head["teeth"].mesh.vertices
    return np.array([teeth[:, 0].mean(), teeth[:, 1].mean(), teeth[:, 2].max()])


@pytest.mark.parametrize("yaw", [0.0, 0.6, -0.6])
def test_closed_lids_show_nothing_of_the_eyes_and_open_ones_do(yaw: float) -> None:
    for head in people(**EVERYBODY):
        for eye in eyeballs(head):
            assert seen(head, both(eyeBlink=1.0), eye.center, 40.0, yaw=yaw)["eyes"] == 0
    for head in people(**SOME):
        for eye in eyeballs(head):
            assert seen(head, {}, eye.center, 40.0, yaw=yaw)["eyes"] > 500


def test_no_eyeball_pierces_a_lid_while_it_closes() -> None:
    """Skin in front of the eyeball at rest stays there: at most 0.1 mm of the eyeball come through it."""
    place = {vertex: row for row, vertex in enumerate(skin_rows().tolist())}
    for head in people(**EVERYBODY):
        skin = head["skin"]
        for eye, lids in zip(eyeballs(head), anatomy_of(default_model()).lids, strict=True):
            rows = np.array([place[vertex] for vertex in lids.outer.tolist()])
            rest = skin.mesh.vertices[rows].astype(np.float64) - eye.center
            blink = skin.shapes[f"eyeBlink{eye.side}"][rows] - eyeball_shape(head, eye)
            outside = np.linalg.norm(rest, axis=1) > eye.radius
            for weight in (0.25, 0.5, 0.75, 1.0):
                height = np.linalg.norm(rest + weight * blink, axis=1) - eye.radius
                assert height[outside].min() > -0.1
                assert weight < 1 or height.min() > 0.0


def eyeball_shape(head: Assembly, eye: Eyeball) -> np.ndarray:
    """(3,) how an eyeball moves as its lids close."""
    moved = head["eyes"].shapes[f"eyeBlink{eye.side}"].reshape(2, -1, 3)[SIDES.index(eye.side)]
    assert np.ptp(moved, axis=0).max() == 0  # as a whole
    return np.asarray(moved[0], np.float64)


def test_gaze_turns_the_iris_in_its_socket() -> None:
    outward = {"Left": 1.0, "Right": -1.0}
    for head in people(**SOME):
        for number, eye in enumerate(eyeballs(head)):
            ball = head["eyes"].mesh.vertices.astype(np.float64).reshape(2, -1, 3)[number]
            for name, way in {
                "Up": np.array([0.0, 1.0, 0.0]),
                "Down": np.array([0.0, -1.0, 0.0]),
                "Out": np.array([outward[eye.side], 0.0, 0.0]),
                "In": np.array([-outward[eye.side], 0.0, 0.0]),
            }.items():
                shape = head["eyes"].shapes[f"eyeLook{name}{eye.side}"].reshape(2, -1, 3)
                moved = ball + shape[number] - eye.center
                np.testing.assert_allclose(np.linalg.norm(moved, axis=1), eye.radius, atol=1e-3)
                expected = np.sin(GAZE[name]) * way + [0.0, 0.0, np.cos(GAZE[name])]
                np.testing.assert_allclose(moved[0] / eye.radius, expected, atol=1e-4)
                assert not shape[1 - number].any()  # the other eye stays


def test_lids_leave_pupils_round_wherever_the_eyes_look() -> None:
    """Of twenty people's pupils at most a third, by pixels of 0.25 mm, is behind a lid, in any of the four ways, and
    of nineteen in twenty at most a tenth."""
    shares = []
    for head in list(people(**EVERYBODY))[:20]:
        for eye in eyeballs(head):
            for way in ("Up", "Down", "In", "Out"):
                shown, all_of_it = pupil_pixels(head.posed({f"eyeLook{way}{eye.side}": 1.0}), eye)
                assert all_of_it > 100
                shares.append(shown / all_of_it)
    assert min(shares) > 0.66
    assert np.quantile(shares, 0.05) > 0.9


def pupil_pixels(head: Assembly, eye: Eyeball) -> tuple[int, int]:
    """How many pixels from the front show the pupil of an eye, and how many would without lids."""
    camera = Camera(160 * 1000 / 40, image_center((160, 160)), (160, 160))
    shift = np.array([0.0, 0.0, 1000.0]) - FRONTAL @ eye.center
    found = []
    for mesh, start in ((head.joined(), "eyes"), (head["eyes"].mesh, None)):
        assert mesh.groups is not None
        pupil = head["eyes"].mesh.groups["pupil"] + (mesh.groups[start][0] if start else 0)
        seen_triangles = rasterize_view(mesh.vertices @ FRONTAL.T + shift, mesh.triangles, camera).triangle
        found.append(int(np.isin(seen_triangles, pupil).sum()))
    return found[0], found[1]


def test_a_squint_does_not_close_closed_lids_further() -> None:
    """With eyeBlink at 1 the upper lid's edge stays where it is, but for what lifts it off the eyeball, and the lower
    lid does not come through it where it did not before: along its edge, away from the corners."""
    model = default_model()
    anatomy, place = anatomy_of(model), {vertex: row for row, vertex in enumerate(skin_rows().tolist())}
    triangles = model.topology.triangles
    surface = triangles[anatomy.skin[triangles].all(1)]
    for head in list(people(**EVERYBODY))[:12]:
        skin, eyes = head["skin"], eyeballs(head)
        full = np.zeros(model.mean.shape)
        full[skin_rows()] = skin.mesh.vertices[: len(skin_rows())]
        for eye, lids in zip(eyes, anatomy.lids, strict=True):
            upper = np.array([place[int(row)] for row in lids.upper])
            middle = _from_corners(full, lids)[1 : lids.inner] > 0.8
            lower = np.vectorize(place.get)(_lower_skin(full, surface, lids))
            blink = skin.mesh.vertices + skin.shapes[f"eyeBlink{eye.side}"]
            for squint in ("eyeSquint", "cheekSquint"):
                closed, both = (
                    (p - eye.center).astype(float) for p in (blink, blink + skin.shapes[squint + eye.side])
                )
                moved = both[upper] - closed[upper]
                outwards = closed[upper] / np.linalg.norm(closed[upper], axis=1, keepdims=True)
                lifted = (moved * outwards).sum(1)
                assert np.linalg.norm(moved - lifted[:, None] * outwards, axis=1).max() < 0.15
                assert lifted.min() > -0.1
                assert lifted.max() < 3.5
                assert _depth(both, upper[middle], lower) < _depth(closed, upper[middle], lower) + 0.1


def _depth(points: np.ndarray, edge: np.ndarray, lower: np.ndarray) -> float:
    """mm by which skin is in front of an edge, at most, as seen along rays from the eyeball's middle."""
    far = np.linalg.norm(points[edge], axis=1)
    return max(_farthest(points[lower], points[row] / length) - length for row, length in zip(edge, far, strict=True))


def test_eye_joints_turn_eyes_as_the_shapes_do() -> None:
    for head in people(**SOME):
        by_shape = head.posed({"eyeLookUpLeft": 1.0})["eyes"].mesh.vertices
        by_joint = head.posed({}, {"eyeLeft": np.array([-GAZE["Up"], 0.0, 0.0])})["eyes"].mesh.vertices
        np.testing.assert_allclose(by_joint, by_shape, atol=1e-3)


def test_teeth_and_tongue_hide_behind_closed_lips_and_show_in_an_open_mouth() -> None:
    for head in people(**EVERYBODY):
        middle = mouth_middle(head)
        for yaw in (0.0, 0.5):
            rest = seen(head, {}, middle, 70.0, yaw=yaw)
            assert rest["teeth"] == rest["tongue"] == 0
        opened = seen(head, {"jawOpen": 1.0}, middle - [0.0, 12.0, 0.0], 90.0)
        assert min(opened["teeth"], opened["tongue"]) > 0
        smile = seen(head, both(mouthSmile=1.0, mouthUpperUp=0.7, mouthLowerDown=0.7), middle, 70.0)
        assert smile["teeth"] > 30


def test_a_sneer_leaves_the_gap_between_the_lips() -> None:
    model = default_model()
    shapes = {**dict(zip(model.expression_names, model.expression_basis, strict=True))}
    upper, lower = INNER_LIPS - JAW_COUNT + 2, INNER_LIPS - JAW_COUNT + 6
    for head in people(count=1):
        for name in ("noseSneerLeft", "noseSneerRight"):
            mended = np.zeros(model.mean.shape)
            mended[skin_rows()] = head["skin"].shapes[name][: len(skin_rows())]
            gathered = model.landmark_map.gather(mended)
            assert np.abs(gathered[upper] - gathered[lower]).max() < 1e-6
            assert np.abs(mended).max() > 0.8 * np.abs(shapes[name]).max()  # and still wrinkles the nose


def test_a_tongue_comes_out_between_the_lips() -> None:
    """Where the tongue passes the lips, no skin within its width is as high or as low as it."""
    model = default_model()
    lips = np.isin(skin_rows(), np.flatnonzero(model.topology.regions["lips"]))
    drop = -model.expression_basis[model.expression_names.index("jawOpen"), :, 1][skin_rows()]
    for head in people(**EVERYBODY):
        out = head.posed({"tongueOut": 1.0})
        tongue, skin = out["tongue"].mesh.vertices, out["skin"].mesh.vertices[: len(lips)]
        assert tongue[:, 2].max() > skin[lips, 2].max() + 5
        depth = 0.0
        for row in np.flatnonzero(lips & (drop > 25)):
            near = np.linalg.norm((tongue - skin[row])[:, [0, 2]], axis=1) < 2.0
            if near.any():
                depth = max(depth, skin[row, 1] - tongue[near, 1].min())
        for row in np.flatnonzero(lips & (drop < 8)):
            near = np.linalg.norm((tongue - skin[row])[:, [0, 2]], axis=1) < 2.0
            if near.any():
                depth = max(depth, tongue[near, 1].max() - skin[row, 1])
        assert depth < 0.5


def test_skin_and_mouth_are_closed() -> None:
    for head in people(**SOME):
        vertices = np.concatenate([head[name].mesh.vertices for name in ("skin", "mouth")])
        second = head["mouth"].mesh.triangles + len(head["skin"].mesh.vertices)
        triangles = np.concatenate([head["skin"].mesh.triangles, second])
        _, joined = np.unique(vertices, axis=0, return_inverse=True)
        corners = joined.ravel()[triangles]
        edges = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
        directed, times = np.unique(edges, axis=0, return_counts=True)
        assert (times == 1).all()  # no edge twice in one direction,
        assert {tuple(edge) for edge in directed.tolist()} == {tuple(edge[::-1]) for edge in directed.tolist()}


def test_the_jaw_joint_opens_the_mouth_as_the_shape_does() -> None:
    """Skin to 5 mm root mean square where the shape moves it, by up to 35; teeth and tongue exactly."""
    for head in people(**SOME):
        angle = jaw_angle(head)
        by_joint = head.posed({}, {"jaw": np.array([angle, 0.0, 0.0])})
        by_shape = head.posed({"jawOpen": 1.0})
        for name in ("teeth", "tongue"):
            np.testing.assert_allclose(by_joint[name].mesh.vertices, by_shape[name].mesh.vertices, atol=0.01)
        apart = np.linalg.norm(by_joint["skin"].mesh.vertices - by_shape["skin"].mesh.vertices, axis=1)
        moved = np.linalg.norm(head["skin"].shapes["jawOpen"], axis=1) > 1
        assert np.sqrt((apart[moved] ** 2).mean()) < 5.0


def jaw_angle(head: Assembly) -> float:
    """By how much lower teeth turn at jawOpen 1."""
    shape, place = head["teeth"].shapes["jawOpen"], np.array(head.joints[3].place)
    row = int(np.argmax(np.linalg.norm(shape, axis=1)))
    before = head["teeth"].mesh.vertices[row] - place
    after = before + shape[row]
    return float(np.arctan2(before[2], before[1]) * -1 + np.arctan2(after[2], after[1]))


def test_the_head_joint_turns_all_but_the_neck() -> None:
    (head,) = people(count=1)
    turned = head.posed({}, {"head": np.array([0.0, 0.5, 0.0])})
    for name in ("eyes", "teeth", "tongue"):
        moved = np.linalg.norm(turned[name].mesh.vertices - head[name].mesh.vertices, axis=1)
        assert moved.min() > 5
    skin, before = turned["skin"].mesh.vertices, head["skin"].mesh.vertices
    flat = head["skin"].mesh.triangles[(head["skin"].mesh.triangles == len(before) - 1).any(1)]
    border = np.unique(flat)
    np.testing.assert_allclose(skin[border], before[border], atol=1e-3)


def test_irises_have_the_colour_of_the_head() -> None:
    model = default_model()
    rest = model.mesh(model.space.sample(1, np.random.default_rng(0))[0])
    blue = np.zeros(len(model.albedo_names))
    blue[model.albedo_names.index("irisBlue")] = 2.0
    brown = iris_color(model, model.mesh(np.zeros(128), albedo=0 * blue))
    found = iris_color(model, model.mesh(np.zeros(128), albedo=blue))
    assert found[2] / found[0] > 1.3 * brown[2] / brown[0]
    texture = np.full((64, 64, 3), (40, 90, 160), np.uint8)
    painted = Mesh(rest.vertices, rest.triangles, uv=rest.uv, uv_triangles=rest.uv_triangles, texture=texture)
    np.testing.assert_allclose(iris_color(model, painted), ((np.array([40, 90, 160]) / 255 + 0.055) / 1.055) ** 2.4)
    head = whole_head(model, rest, np.array([0.1, 0.2, 0.3]))
    assert head["eyes"].mesh.colors is not None


def test_shapes_are_of_the_parts_that_they_move() -> None:
    (head,) = people(count=1)
    assert tuple(head["skin"].shapes) == default_model().expression_names
    assert set(head["eyes"].shapes) == {
        *(f"eyeLook{way}{side}" for way in ("Up", "Down", "In", "Out") for side in SIDES),
        *(f"eyeBlink{side}" for side in SIDES),
    }
    assert (
        set(head["teeth"].shapes)
        == set(head["tongue"].shapes)
        == {
            "jawOpen",
            "jawForward",
            "jawLeft",
            "jawRight",
            "tongueOut",
        }
    )
    lower = head["teeth"].influence[:, 3] == 1
    np.testing.assert_allclose(
        head["teeth"].shapes["tongueOut"][lower], JAW_SHARE * head["teeth"].shapes["jawOpen"][lower], atol=1e-3
    )
    assert not head["teeth"].shapes["jawOpen"][~lower].any()


def test_a_head_of_another_topology_is_refused() -> None:
    model = default_model()
    with pytest.raises(ValueError, match="vertices"):
        whole_head(model, Mesh(np.eye(3), [[0, 1, 2]]))
    assert has_whole_head(model)


def test_assemblies_check_what_they_are_made_of() -> None:
    mesh, one = Mesh(np.eye(3), [[0, 1, 2]]), np.ones((3, 1))
    part = Part("a", mesh, Material("a"), {}, one)
    with pytest.raises(ValueError, match="different names"):
        Assembly((part, part))
    with pytest.raises(ValueError, match="parents before"):
        Assembly((part,), (Joint("a", (0, 0, 0), 0),))
    with pytest.raises(ValueError, match="rows sum to 1"):
        Part("a", mesh, Material("a"), {}, 0.5 * one)
    with pytest.raises(ValueError, match="shape 'x'"):
        Part("a", mesh, Material("a"), {"x": np.zeros((2, 3))}, one)
    with pytest.raises(ValueError, match="of 1 joints"):
        Assembly((Part("a", mesh, Material("a"), {}, np.full((3, 2), 0.5)),))


def test_an_eyeball_is_round_and_closed() -> None:
    ball = eyeball_mesh(Eyeball("Left", np.array([30.0, 0.0, 0.0]), 12.0), np.full(3, 0.1))
    np.testing.assert_allclose(np.linalg.norm(ball.vertices - [30, 0, 0], axis=1), 12.0, atol=1e-4)
    assert len(ball.edges()) * 2 == len(ball.triangles) * 3
    outward = ball.triangle_normals() * (ball.vertices[ball.triangles].mean(1) - [30, 0, 0])
    assert (outward.sum(1) > 0).all()


def test_the_jaws_axis_lies_before_the_ears() -> None:
    model = default_model()
    jaw = fitted_jaw(model, anatomy_of(model), model.mean.astype(np.float64))
    ears = model.mean[model.topology.regions["ears"]]
    assert ears[:, 1].min() < jaw.place[1] < ears[:, 1].max()
    assert ears[:, 2].max() - 10 < jaw.place[2] < ears[:, 2].max() - 6
    assert np.radians(12) < jaw.angle < np.radians(30)
