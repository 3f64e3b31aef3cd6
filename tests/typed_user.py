"""What a user's strictly typed script may do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import likeness
from likeness import (
    ARKIT_NAMES,
    Camera,
    Coefficients,
    FaceModel,
    FileError,
    GaussianSpace,
    LikenessError,
    Mesh,
    MissingExtraError,
    Reconstruction,
    Reconstructor,
    SphereSpace,
    project,
)
from likeness.datasets.bin_sets import read_bin
from likeness.mesh import laplacian, mirror_map, vertex_normals
from likeness.metrics import (
    Estimate,
    Excluded,
    Pairs,
    Samples,
    read_lfw_pairs,
    recognisability_of_codes,
)
from likeness.model.formats import load_model
from likeness.register import Registration, Similarity, register_scan
from likeness.render import render_image

Array = NDArray[Any]


def heads(photo: Path, out: Path) -> list[Path]:
    reconstructor = Reconstructor()
    written: list[Path] = []
    faces: list[Reconstruction] = reconstructor(photo, max_faces=2)
    for face in faces:
        pixels: Array = project(face.camera, face.vertices() @ face.rotation.T + face.translation)
        assert pixels.shape[-1] == 2
        written += face.save(out, ("glb", "json")).values()
    return written


def shapes(model: FaceModel) -> Mesh:
    space: GaussianSpace | SphereSpace = model.space
    code = space.sample(1, np.random.default_rng(0))[0]
    mesh = model.mesh(code)
    mesh.save("head.obj")
    normals: Array = vertex_normals(mesh.vertices, mesh.triangles)
    assert normals.shape == mesh.vertices.shape
    mirror_map(mesh.vertices, mesh.triangles)
    laplacian(mesh.triangles, len(mesh.vertices))
    return Mesh.load("head.obj").transformed(scale=2.0)


def picture(mesh: Mesh, camera: Camera) -> Array:
    return render_image(mesh.vertices, mesh.triangles, None, camera, np.eye(3), np.array([0.0, 0.0, 900.0]))


def scans(path: Path) -> Registration:
    found = register_scan(path, units="mm")
    where: Similarity = found.scan_from_model
    print(where.scale, found.quality.coverage)
    return found


def numbers(codes: Array, labels: Array) -> float | None:
    samples = Samples(codes, labels)
    estimate: Estimate = recognisability_of_codes(samples).auc
    excluded = Excluded("a", "b")
    pairs: Pairs = read_lfw_pairs("pairs.txt")
    print(excluded.to_dict(), len(pairs), likeness.__version__, ARKIT_NAMES[0], read_bin("lfw.bin").pairs)
    return estimate.value


def converted(path: Path) -> FaceModel | None:
    try:
        return load_model(path)
    except MissingExtraError as error:
        raise SystemExit(str(error)) from error
    except (FileError, LikenessError):
        return None


def one(coefficients: Coefficients) -> Coefficients:
    return coefficients[0]
