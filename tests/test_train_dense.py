"""Points that the network places freely: decoder, loss, ONNX file, and what the reconstructor makes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from conftest import landmark_drawing  # noqa: E402
from dense_points import small_map  # noqa: E402

from likeness.errors import FileError  # noqa: E402
from likeness.model.face_model import FaceModel  # noqa: E402
from likeness.networks.regressor import Network  # noqa: E402
from likeness.reconstruct.reconstructor import Reconstructor  # noqa: E402
from likeness.train.losses.dense import dense_loss, drawn_rows  # noqa: E402
from likeness.train.photos.augment import flip_landmarks  # noqa: E402
from likeness.train.photos.export import onnx_bytes  # noqa: E402
from likeness.train.photos.network import CROP_SIZE, Answer, NetSettings, Prediction, Regressor  # noqa: E402
from likeness.train.photos.point_decoder import LEAST_DEVIATION, DensePoints, PointDecoder, _sampled  # noqa: E402
from likeness.train.recipe_settings import DenseWeights  # noqa: E402


def images(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, CROP_SIZE, CROP_SIZE, 3), dtype=torch.uint8, generator=generator)


def network(model: FaceModel, seed: int = 0, **changes: object) -> Regressor:
    """A network with a decoder whose normalisations have seen something and whose points have left their start."""
    torch.manual_seed(seed)
    settings = NetSettings.for_model(model, dense=small_map(model))
    net = Regressor(replace(settings, **changes))  # type: ignore[arg-type]
    with torch.no_grad():
        assert net.dense is not None
        net.dense.coarse.weight.mul_(50.0)
        for _ in range(3):
            net(images(8), whole=True)
    return net.eval()


def whole(net: Regressor, crops: torch.Tensor, rows: torch.Tensor | None = None) -> tuple[Prediction, DensePoints]:
    with torch.no_grad():
        answer = net(crops, whole=True, rows=rows)
    assert isinstance(answer, Answer)
    assert answer.dense is not None
    return answer.prediction, answer.dense


def test_without_points_the_network_is_todays(small_model: FaceModel) -> None:
    torch.manual_seed(0)
    plain = Regressor(NetSettings.for_model(small_model)).eval()
    dense = network(small_model)
    names = {name for name in dense.state_dict() if not name.startswith("dense.")}
    assert set(plain.state_dict()) == names
    dense.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        for a, b in zip(plain(images(2)), whole(dense, images(2))[0], strict=True):
            torch.testing.assert_close(a, b)
        answer = plain(images(2), whole=True)
    assert answer.dense is None
    assert answer.guess is None


def test_untrained_points_lie_where_the_mean_face_is(small_model: FaceModel) -> None:
    torch.manual_seed(0)
    points = small_map(small_model)
    net = Regressor(NetSettings.for_model(small_model, dense=points)).eval()
    prediction, dense = whole(net, images(2))
    vertices = small_model.vertices(prediction.identity.numpy(), prediction.expression.numpy())
    seen = points.gather(vertices) @ prediction.rotation.numpy().transpose(0, 2, 1)
    seen = seen + prediction.translation.numpy()[:, None]
    pixels = 4.5 * CROP_SIZE * seen[..., :2] / seen[..., 2:] + (CROP_SIZE - 1) / 2
    distance = np.linalg.norm(dense.guesses[0].numpy() - pixels, axis=-1)
    assert np.median(distance) < 4  # the weights of the expressions at rest are 0.08, not 0


def test_some_rows_are_those_rows_of_all(small_model: FaceModel) -> None:
    net = network(small_model)
    rows = torch.tensor([5, 0, 17])
    (_, every), (_, some) = whole(net, images(3)), whole(net, images(3), rows)
    for a, b in zip((*every[:2], *every.guesses), (*some[:2], *some.guesses), strict=True):
        torch.testing.assert_close(a[:, rows], b, rtol=1e-4, atol=1e-4)


def test_a_map_is_read_where_its_cells_centres_lie() -> None:
    # A map whose channels are its cells' middles in crop pixels shows every place's own coordinates.
    stride, side = 4, 7
    middle = torch.arange(side) * float(stride) + 0.5 * (stride - 1)
    values = torch.stack(torch.meshgrid(middle, middle, indexing="xy"))[None]
    places = torch.rand(1, 5, 2, generator=torch.Generator().manual_seed(0)) * (stride * (side - 3)) + 5.5
    steps = torch.tensor([[[0.0, 0.0]], [[-4.0, 2.0]], [[3.0, 3.5]]])
    torch.testing.assert_close(
        _sampled(values, places, stride, steps).permute(0, 2, 3, 1), places[:, None] + steps, rtol=1e-5, atol=1e-4
    )
    bordered = torch.nn.functional.pad(values, (1, 1, 1, 1))
    for seen in (_sampled(values, places, stride), _sampled(bordered, places, stride, border=1)):
        torch.testing.assert_close(seen[:, :, 0].transpose(1, 2), places, rtol=1e-5, atol=1e-4)


def test_windows_are_read_alike_by_a_convolution_and_by_samples() -> None:
    """In the middle of the map, across its edges, and beyond them."""
    torch.manual_seed(0)
    decoder = PointDecoder((4, 5, 6, 7), 3, torch.rand(40, 2) * 20 + 40)
    maps, points = (torch.randn(2, 48, 28, 28),), torch.rand(2, 40, 2) * 150 - 20
    read, some = decoder.first(maps, points, None), decoder.first(maps, points, torch.arange(40))
    torch.testing.assert_close(read, some, rtol=1e-4, atol=1e-4)
    assert float(read.detach().std(1).min()) > 1e-3


def test_points_follow_a_map_that_moves() -> None:
    """Windows about points that move with a picture see the same: the correction is equivariant to whole cells."""
    torch.manual_seed(0)
    decoder = PointDecoder((4, 5, 6, 7), 3, torch.rand(6, 2) * 20 + 40)
    four, two = torch.randn(1, 48, 28, 28), torch.randn(1, 4, 56, 56)
    points = torch.rand(1, 6, 2) * 20 + 40
    still = decoder.second((four, two), points, None)
    moved = decoder.second((four.roll(2, 3), two.roll(4, 3)), points + torch.tensor([8.0, 0.0]), None)
    torch.testing.assert_close(still, moved, rtol=1e-4, atol=1e-4)


def test_gradients_of_the_decoder_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    decoder = PointDecoder((3, 4, 5, 6), 3, torch.rand(3, 2) * 20 + 40).double().eval()
    maps = tuple(torch.randn(1, c, s, s, dtype=torch.double) for c, s in ((3, 56), (4, 28), (5, 14), (6, 7)))
    features = torch.randn(1, 3, dtype=torch.double)

    def fine(bias: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        window = torch.func.functional_call(
            decoder.second,
            {"bias": bias, "own": own},
            ((decoder.mixed(*maps[1:]), maps[0]), decoder.start[None], None),
        )
        return window

    bias, own = decoder.second.bias, decoder.second.own
    assert torch.autograd.gradcheck(fine, (bias, own), fast_mode=True)
    assert features.dtype == torch.double


def test_each_look_is_asked_for_its_own_error_only(small_model: FaceModel) -> None:
    net = network(small_model)
    answer = net(images(2), whole=True)
    truth = torch.rand(2, 44, 2) * 100
    terms = dense_loss(answer.dense, truth, torch.ones(2, 44))
    decoder = net.dense
    parts = {"coarse": decoder.coarse.bias, "middle": decoder.first.bias, "fine": decoder.second.bias}
    for name, value in terms.items():
        gradients = torch.autograd.grad(value, list(parts.values()), retain_graph=True, allow_unused=True)
        moved = {part for part, g in zip(parts, gradients, strict=True) if g is not None and bool((g != 0).any())}
        assert moved == ({"fine"} if name == "sureness" else {name})
    sureness = torch.autograd.grad(terms["sureness"], decoder.second.bias, retain_graph=True)[0]
    assert bool((sureness[:, :2] == 0).all())  # it moves the deviations alone
    assert bool((sureness[:, 2] != 0).any())


def test_the_likeliest_deviation_is_that_of_the_errors() -> None:
    generator = torch.Generator().manual_seed(4)
    errors = 1.7 * torch.randn(1, 4000, 2, generator=generator)
    log_deviation = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.LBFGS([log_deviation], max_iter=50)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        zero = torch.zeros(1, 4000, 2)
        found = DensePoints(errors, log_deviation.exp().expand(1, 4000), (zero, zero))
        value = dense_loss(found, zero, torch.ones(1, 4000))["sureness"]
        value.backward()
        return value

    optimizer.step(closure)
    assert abs(float(log_deviation.detach().exp()) / 1.7 - 1) < 0.03


def test_what_has_no_weight_does_not_count() -> None:
    torch.manual_seed(0)
    points, truth = torch.rand(3, 7, 2), torch.rand(3, 7, 2)
    weight = torch.rand(3, 7)
    weight[1], weight[:, 2] = 0.0, 0.0
    found = DensePoints(points, torch.ones(3, 7), (points, points))
    spoilt = torch.where(weight[..., None] > 0, truth, torch.tensor(1e6))
    for a, b in zip(
        dense_loss(found, truth, weight).values(), dense_loss(found, spoilt, weight).values(), strict=True
    ):
        torch.testing.assert_close(a, b)
    nothing = dense_loss(found, truth, torch.zeros(3, 7))
    assert all(float(value) == 0.0 for value in nothing.values())


def test_a_step_takes_as_many_points_as_it_is_told() -> None:
    rows = drawn_rows(DenseWeights(points=5), 9)
    assert rows is not None
    assert len(set(rows.tolist())) == 5
    assert drawn_rows(DenseWeights(points=0), 9) is None
    assert drawn_rows(DenseWeights(points=9), 9) is None


@pytest.mark.parametrize("half", [False, True])
def test_onnx_places_points_where_torch_does(small_model: FaceModel, half: bool) -> None:
    pytest.importorskip("onnx")
    import onnxruntime

    net = network(small_model)
    session = onnxruntime.InferenceSession(onnx_bytes(net, "test", "small", half))
    names = [output.name for output in session.get_outputs()]
    assert names == [*Prediction._fields, "points", "deviation"]
    for count in (1, 3):
        got = dict(zip(names, session.run(None, {"image": images(count).numpy()}), strict=True))
        prediction, dense = whole(net, images(count))
        assert got["points"].shape == (count, 44, 2)
        assert float(dense.deviation.min()) > LEAST_DEVIATION
        limit = 0.02 if half else 1e-3
        assert np.abs(got["points"] - dense.points.numpy()).max() < limit
        assert np.abs(got["deviation"] / dense.deviation.numpy() - 1).max() < limit
        assert np.abs(got["rotation"] - prediction.rotation.numpy()).max() < limit


def test_the_reconstructor_carries_points_to_the_photo(small_model: FaceModel, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    path, points = tmp_path / "regressor.onnx", small_map(small_model)
    path.write_bytes(onnx_bytes(network(small_model), "test", "small", half=False))
    assert Network.load(path).points == len(points)
    photo = np.random.default_rng(0).integers(0, 256, (150, 130, 3), dtype=np.uint8)
    boxes = np.array([[20.0, 30.0, 110.0, 130.0]])
    finder = Reconstructor(small_model, path, points=points)
    face = finder(photo, boxes=boxes)[0]
    assert face.points is not None
    assert face.deviation is not None
    assert face.points.shape == (44, 2)
    assert (face.deviation > 0).all()
    with pytest.raises(FileError, match="places 44 surface points"):
        Reconstructor(small_model, path)  # the embedded map has 478


def test_a_mirrored_photo_has_mirrored_points(small_model: FaceModel, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    path, points = tmp_path / "regressor.onnx", small_map(small_model)
    path.write_bytes(onnx_bytes(network(small_model), "test", "small", half=False))
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (150, 130, 3), dtype=np.uint8)
    landmarks = landmark_drawing()[None] * [0.4, -0.4] + [55.0, 60.0]
    finder = Reconstructor(small_model, path, points=points)
    face = finder(photo, landmarks=landmarks)[0]
    other = finder(np.ascontiguousarray(photo[:, ::-1]), landmarks=flip_landmarks(landmarks, 130))[0]
    assert face.points is not None
    assert other.points is not None
    assert face.deviation is not None
    assert other.deviation is not None
    assert np.abs(points.mirrored(other.points, 130) - face.points).max() < 0.05
    assert np.abs(other.deviation[points.mirror] / face.deviation - 1).max() < 0.01
    assert np.abs(face.points - other.points).max() > 10.0


def test_a_network_without_points_says_nothing_of_them(small_model: FaceModel, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    torch.manual_seed(0)
    path = tmp_path / "regressor.onnx"
    path.write_bytes(onnx_bytes(Regressor(NetSettings.for_model(small_model)).eval(), "test", "small"))
    face = Reconstructor(small_model, path)(np.zeros((99, 99, 3), np.uint8), boxes=np.array([[20.0, 20, 80, 80]]))[0]
    assert face.points is None
    assert face.deviation is None
