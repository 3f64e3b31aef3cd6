"""Laws of the main job on the embedded default: one face, where it is, whatever is done to the photo around it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from likeness import Camera, FileError, FileWarning, Mesh, Reconstruction, Reconstructor, project
from likeness.mesh.glb_writer import read_glb
from likeness.reconstruct.proposals import Proposal, find_faces


@pytest.fixture(scope="module")
def reconstruct() -> Reconstructor:
    return Reconstructor(threads=1)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return pytest.importorskip("skimage.data").astronaut()


@pytest.fixture(scope="module")
def face(reconstruct: Reconstructor, photo: np.ndarray) -> Reconstruction:
    faces = reconstruct(photo)
    assert len(faces) == 1
    return faces[0]


def eyes_apart(landmarks: np.ndarray) -> float:
    return float(np.linalg.norm(landmarks[36:42].mean(0) - landmarks[42:48].mean(0)))


def test_the_face_is_where_it_is(face: Reconstruction) -> None:
    right_eye, left_eye = face.landmarks[36:42].mean(0), face.landmarks[42:48].mean(0)
    np.testing.assert_allclose(right_eye, [202.5, 102], atol=4)  # read off the picture
    np.testing.assert_allclose(left_eye, [247, 103.5], atol=4)
    x0, y0, x1, y1 = face.box
    assert x0 < 202 < 247 < x1
    assert y0 < 102 < 155 < y1
    assert face.score > 0.5


def test_shapes_are_the_contract(face: Reconstruction, reconstruct: Reconstructor) -> None:
    coefficients, model = face.coefficients, reconstruct.model
    assert coefficients.identity.shape == (len(model.identity_basis),)
    assert coefficients.expression.shape == (52,)
    assert face.landmarks.shape == (68, 2)
    assert face.box.shape == (4,)
    assert face.rotation.shape == (3, 3)
    np.testing.assert_allclose(face.rotation @ face.rotation.T, np.eye(3), atol=1e-5)
    assert model.geometry(coefficients.identity).shape == coefficients.identity.shape
    assert isinstance(face.camera, Camera)
    assert face.camera.size == (512, 512)


def test_the_mesh_projects_onto_the_landmarks(face: Reconstruction, reconstruct: Reconstructor) -> None:
    points = reconstruct.model.landmark_points(face.coefficients.identity, face.coefficients.expression)
    seen = project(face.camera, points @ face.rotation.T + face.translation)
    landmarks = reconstruct.model.landmark_map.select(seen, face.rotation)
    # The landmarks are placed freely, the head is what a face model and a prior make of them.
    error = np.linalg.norm(landmarks - face.landmarks, axis=1) / np.ptp(face.landmarks, axis=0).max()
    assert error.mean() < 0.025
    assert error.max() < 0.06


def test_a_smiling_photo_smiles_and_its_neutral_mesh_does_not(face: Reconstruction) -> None:
    names = face.model.expression_names
    smile = face.coefficients.expression[[names.index("mouthSmileLeft"), names.index("mouthSmileRight")]]
    assert smile.mean() > 0.2
    assert np.abs(face.mesh().vertices - face.mesh(neutral=True).vertices).max() > 1


def test_a_file_and_its_pixels_give_the_same(
    reconstruct: Reconstructor, photo: np.ndarray, face: Reconstruction, tmp_path: Path
) -> None:
    import cv2

    path = tmp_path / "portrait.png"
    cv2.imwrite(str(path), photo[..., ::-1])
    found = reconstruct(path)[0]
    np.testing.assert_allclose(found.coefficients.identity, face.coefficients.identity, atol=1e-5)
    assert found.name == "portrait"


def test_landmarks_follow_shift_and_scale_of_the_photo(
    reconstruct: Reconstructor, photo: np.ndarray, face: Reconstruction
) -> None:
    import cv2

    moved = np.pad(photo[:400], ((37, 0), (61, 20), (0, 0)), mode="edge")
    found = reconstruct(moved)[0]
    tolerance = 0.06 * eyes_apart(face.landmarks)
    assert np.linalg.norm(found.landmarks - face.landmarks - [61, 37], axis=1).mean() < tolerance
    double = cv2.resize(photo, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    found = reconstruct(double)[0]
    # Pixel centres: enlarging by 2 takes x to 2 x + 0.5.
    assert np.linalg.norm((found.landmarks - 0.5) / 2 - face.landmarks, axis=1).mean() < tolerance


def test_a_mirrored_photo_gives_the_mirrored_head(
    reconstruct: Reconstructor, photo: np.ndarray, face: Reconstruction
) -> None:
    flipped = np.ascontiguousarray(photo[:, ::-1])
    order = np.concatenate([np.arange(16, -1, -1), np.arange(26, 16, -1), np.arange(27, 31), np.arange(35, 30, -1)])
    order = np.concatenate([order, [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40], np.arange(54, 47, -1)])
    order = np.concatenate([order, np.arange(59, 54, -1), np.arange(64, 59, -1), np.arange(67, 64, -1)])
    mirrored = face.landmarks[order] * [-1, 1] + [photo.shape[1] - 1, 0]
    plain = reconstruct(photo, landmarks=face.landmarks[None])[0]
    found = reconstruct(flipped, landmarks=mirrored[None])[0]
    apart = found.landmarks - (plain.landmarks[order] * [-1, 1] + [photo.shape[1] - 1, 0])
    assert np.abs(apart).mean() < 0.5  # px; crops of a turned grid differ a little
    mirror = reconstruct.model.topology.mirror
    assert mirror is not None
    apart = found.vertices(neutral=True)[mirror] * [-1, 1, 1] - plain.vertices(neutral=True)
    face_region = reconstruct.model.topology.regions["face"]
    # What is fused was learned from faces as they are: left and right count nearly, not quite, alike.
    assert np.sqrt((apart[face_region] ** 2).sum(1).mean()) < 1.0  # mm, where two people are 2.7 apart
    left, right = (reconstruct.model.expression_names.index(f"mouthSmile{side}") for side in ("Left", "Right"))
    assert abs(found.coefficients.expression[left] - plain.coefficients.expression[right]) < 0.02


def test_two_faces_in_one_photo(reconstruct: Reconstructor, photo: np.ndarray) -> None:
    both = np.concatenate([photo[:300], photo[:300, ::-1]], axis=1)
    found = reconstruct(both)
    assert len(found) == 2
    assert len(reconstruct(both, max_faces=1)) == 1
    centers = sorted(face.landmarks[:, 0].mean() for face in found)
    assert centers[0] < 512 < centers[1]


def test_no_face_gives_an_empty_list(reconstruct: Reconstructor) -> None:
    rng = np.random.default_rng(0)
    assert reconstruct(rng.integers(0, 256, (200, 240, 3), np.uint8)) == []
    assert reconstruct(np.full((150, 150, 3), 128, np.uint8)) == []


@pytest.mark.parametrize(("belief", "count"), [(0.97, 1), (0.92, 1), (0.85, 0), (0.3, 0)])
def test_a_face_needs_the_belief_of_both_networks(
    reconstruct: Reconstructor, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch, belief: float, count: int
) -> None:
    best = find_faces(photo)[0]

    def proposals(image: np.ndarray, *, thorough: bool, yunet_model: object) -> list[Proposal]:
        return [] if thorough else [replace(best, score=belief)]

    monkeypatch.setattr("likeness.reconstruct.reconstructor.find_faces", proposals)
    monkeypatch.setattr(reconstruct, "points", None)  # as for a network that places none: others judge by their looks
    assert len(reconstruct(photo)) == count


def test_where_no_face_passes_the_network_alone_decides(
    reconstruct: Reconstructor, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = find_faces(photo)[0]
    monkeypatch.setattr("likeness.reconstruct.reconstructor.find_faces", lambda *_, **__: [replace(best, score=0.1)])
    assert len(reconstruct(photo)) == 1


def test_what_nobody_proposed_needs_no_second_search(
    reconstruct: Reconstructor, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    best, searches = find_faces(photo)[0], []

    def proposals(image: np.ndarray, *, thorough: bool, yunet_model: object) -> list[Proposal]:
        searches.append(thorough)
        return [replace(best, score=0.0, kind="whole")]

    monkeypatch.setattr("likeness.reconstruct.reconstructor.find_faces", proposals)
    assert len(reconstruct(photo)) == 1
    assert searches == [False]


def test_a_given_box_and_given_landmarks_are_used(
    reconstruct: Reconstructor, photo: np.ndarray, face: Reconstruction
) -> None:
    tolerance = 0.08 * eyes_apart(face.landmarks)
    by_box = reconstruct(photo, boxes=face.box[None])[0]
    by_points = reconstruct(photo, landmarks=face.landmarks[None])[0]
    for found in (by_box, by_points):
        assert np.linalg.norm(found.landmarks - face.landmarks, axis=1).mean() < tolerance


def test_a_known_focal_length_is_used(reconstruct: Reconstructor, photo: np.ndarray, face: Reconstruction) -> None:
    found = reconstruct(photo, focal=2.5 * face.camera.focal)[0]
    assert found.camera.focal == pytest.approx(2.5 * face.camera.focal)
    assert found.translation[2] == pytest.approx(2.5 * face.translation[2], rel=0.1)


def test_saved_files_hold_the_face(face: Reconstruction, tmp_path: Path) -> None:
    import cv2

    paths = face.save(tmp_path / "new" / "folder", name="head")
    assert {path.name for path in (tmp_path / "new" / "folder").glob("[!.]*")} == {
        *(f"head.{format}" for format in ("glb", "obj", "mtl", "json", "png")),
        "head-texture.jpg",
    }
    record = json.loads(paths["json"].read_text())
    assert list(record["expression"]) == list(face.model.expression_names)
    np.testing.assert_allclose(record["landmarks"], face.landmarks, atol=0.01)
    assert record["model"] == face.model.name
    with pytest.warns(FileWarning, match="textures as colours"):  # a mesh holds one texture and uv for all its parts
        mesh, shapes, weights = read_glb(paths["glb"])
    names = list(face.model.expression_names)
    assert list(shapes) == names
    np.testing.assert_allclose(weights, face.coefficients.expression, atol=1e-6)
    whole = face.whole()
    count = len(whole["skin"].mesh.vertices)
    posed = mesh.vertices[:count] + sum(w * d[:count] for w, d in zip(weights, shapes.values(), strict=True))
    written = Mesh.load(paths["obj"]).vertices
    np.testing.assert_allclose(posed, written[:count], atol=0.01)
    expression = dict(zip(names, face.coefficients.expression.tolist(), strict=True))
    np.testing.assert_allclose(whole.posed(expression).joined().vertices, written, atol=0.01)
    apart = np.linalg.norm(written[:, None] - face.mesh().vertices[None, ::9], axis=-1).min(0)
    assert np.median(apart) < 0.01  # skin is where the metrics have it, but for lids and lips
    np.testing.assert_array_equal(cv2.imread(str(paths["png"]))[..., ::-1], face.overview(texture=face.texture()))


def test_unknown_formats_and_unusable_folders(face: Reconstruction, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fbx"):
        face.save(tmp_path, formats=("fbx",))
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="file"):
        face.save(tmp_path / "file" / "folder")


def test_wrong_arguments_are_the_callers_mistake(reconstruct: Reconstructor, photo: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        reconstruct(photo.astype(float))
    with pytest.raises(ValueError, match="boxes"):
        reconstruct(photo, boxes=np.array([[10, 10, 5, 20]]))
    with pytest.raises(ValueError, match="landmarks"):
        reconstruct(photo, landmarks=np.zeros((1, 51, 2)))
    with pytest.raises(ValueError, match="min_score"):
        Reconstructor(min_score=2)


def test_a_network_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(FileError, match=r"net\.onnx"):
        Reconstructor(network=path)
    with pytest.raises(FileError, match="no such file"):
        Reconstructor(network=tmp_path / "missing.onnx")
