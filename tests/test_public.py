"""The public surface is small and frozen; importing it is cheap."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

import likeness

PUBLIC = {
    "ARKIT_NAMES", "Camera", "Coefficients", "FaceModel", "FileError", "FileWarning", "GaussianSpace",
    "LikenessError", "Mesh", "MissingExtraError", "Reconstruction", "Reconstructor", "SphereSpace", "project",
}  # fmt: skip
HEAVY = {"torch", "cv2", "trimesh", "onnxruntime", "scipy", "igl", "rich", "tyro", "matplotlib"}


def test_public_names_are_these() -> None:
    assert set(likeness.__all__) == PUBLIC
    assert set(dir(likeness)) >= PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_loads_and_is_documented(name: str) -> None:
    value = getattr(likeness, name)
    assert name == "ARKIT_NAMES" or value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        likeness.nonsense  # noqa: B018


def modules_after(code: str) -> set[str]:
    script = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout.splitlines()[-1]))


def test_importing_likeness_imports_nothing_heavy() -> None:
    assert not modules_after("import likeness") & (HEAVY | {"numpy"})


def test_the_main_job_never_imports_torch_or_the_extras() -> None:
    code = "import likeness\nlikeness.Reconstructor\nimport likeness.reconstruct.overview, likeness.mesh.glb_writer"
    assert not modules_after(code) & {"torch", "scipy", "igl", "matplotlib", "lightning", "onnx"}


DOORS = {
    "likeness.mesh": "Mesh laplacian mirror_map vertex_normals",
    "likeness.metrics": "Estimate Excluded Pairs Samples clustering code_statistics compactness compare_domains "
    "generalisation landmark_errors read_aflw2000 read_bin read_lfw_pairs read_names read_pair_csv "
    "recognisability_of_codes recognisability_of_meshes specificity verify verify_distances",
    "likeness.register": "FORMATS UNITS ClosestPoints DrapeSettings FitSettings ModelFit NonRigid Placement Quality "
    "Registration Similarity Surface carry_smoothly closest_points drape fit_model folded_triangles graph_laplacian "
    "guess_units place_by_landmarks read_landmarks read_scan register_nonrigid register_scan robust_similarity "
    "similarity_from_points simplified transfer vertex_normals_of warp_through_points",
}


@pytest.mark.parametrize("door", DOORS)
def test_names_stay_where_version_0_1_had_them(door: str) -> None:
    module = importlib.import_module(door)
    for name in DOORS[door].split():
        assert getattr(module, name) is not None
        assert name in module.__all__
