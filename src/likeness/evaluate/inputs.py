"""What a path holds: photos, saved results, codes or meshes; and codes and meshes read into a collection."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np

from likeness.datasets.archives import ARCHIVES, is_archive
from likeness.datasets.identities import people_of, unique_names
from likeness.datasets.known_layouts import is_now
from likeness.errors import Excluded, FileError, StrPath, as_file_error, listed, printable
from likeness.evaluate.collection import Collection, grouped
from likeness.evaluate.predictions import Steps
from likeness.evaluate.saved_results import kind_of_result
from likeness.files import digest, read_bytes
from likeness.images.header import SUFFIXES
from likeness.mesh import Mesh
from likeness.metrics.procrustes import align
from likeness.metrics.records import Samples
from likeness.model.face_model import FaceModel
from likeness.readers import read_npz
from likeness.result_folder import RECORDS

MESH_SUFFIXES = (".obj", ".ply", ".stl", ".glb")
LOOKED_AT = 50
"""How many .json files are opened to see whether a folder holds results or annotated photos."""


def kind_of(path: StrPath) -> str:
    """``photos``, ``results``, ``codes`` or ``meshes``, by what the file or folder is.

    A folder with results of ``likeness reconstruct`` counts as results, whatever lies beside them; the NoW
    challenge's release as its photos; a pattern for archives (``part-{000..012}.tar``) as photos.

    Raises:
        FileError: missing, nothing that can be measured, or photos *and* meshes: say which with ``--kind``.
    """
    source = Path(path)
    if source.is_file():
        suffix = source.suffix.lower()
        if suffix == ".npz":
            return "codes"
        if suffix == ".bin" or is_archive(source):
            return "photos"
        known = (".npz", ".bin", *ARCHIVES)
        raise FileError(path, f"expected a folder, or a file {', '.join(known)}; got {suffix or 'none'}")
    if not source.is_dir():
        if is_archive(source) and re.search(r"[*?\[{]", str(source)):
            return "photos"
        raise FileError(path, "no such file or folder; expected photos, results, codes or meshes")
    files = [file for file in source.rglob("*") if file.is_file() and RECORDS not in file.parts]
    notes = [file for file in files if file.suffix == ".json"]
    kinds = [kind_of_result(file) for file in notes[:LOOKED_AT]]
    if "face" in kinds:
        return "results"
    if "person" in kinds:
        raise FileError(
            path,
            "holds heads that are made of all photos of a person, which leaves none to measure them by; expected a "
            "head for every photo (likeness reconstruct, without --person, --people or --group), or the photos",
        )
    suffixes = {file.suffix.lower() for file in files}
    photos, meshes = (bool(suffixes & set(known)) for known in (SUFFIXES, MESH_SUFFIXES))
    if is_now([entry.name for entry in source.iterdir()]):
        return "photos"
    if not photos and not meshes and any(is_archive(file) for file in files):
        return "photos"
    if photos and meshes:
        raise FileError(path, "holds photos and meshes; say what to measure: --kind photos or --kind meshes")
    if not photos and not meshes:
        wanted = "IDENTITY/NAME.jpg, IDENTITY/NAME.json or IDENTITY/NAME.obj (or .ply)"
        raise FileError(path, f"expected {wanted}, found no such file")
    return "photos" if photos else "meshes"


def read_codes(path: StrPath, model: FaceModel | None = None) -> Collection:
    """Codes of any method: ``.npz`` with ``codes`` (N, K), ``labels`` (N,), and if known ``groups``, ``names`` (N,).

    Args:
        path: the file.
        model: whose codes these are; None: not known, they are compared as they are.

    Raises:
        FileError: missing, damaged, an array missing, lengths that differ, codes that are not finite, names that
            occur twice, or codes of another size than the model's.
    """
    arrays = read_npz(path, "arrays")
    missing = [key for key in ("codes", "labels") if key not in arrays]
    if missing:
        raise FileError(path, f"expected arrays codes and labels, got {sorted(arrays)}")
    try:
        samples = Samples(arrays["codes"], arrays["labels"], arrays.get("groups"))
    except ValueError as error:
        raise FileError(path, str(error)) from error
    names = arrays.get("names")
    if names is not None and (names.shape != (len(samples),) or len(np.unique(names)) != len(samples)):
        raise FileError(path, f"expected {len(samples)} names, each once, got {names.shape}")
    if model is not None and samples.codes.shape[1] != len(model.identity_basis):
        size = len(model.identity_basis)
        raise FileError(
            path, f"expected codes of {size} numbers ({model.name!r}), got codes of {samples.codes.shape[1]}"
        )
    called = names
    if called is None:  # IDENTITY/NAME as photos have it, and not to be mistaken for a person or a group
        called = np.array([f"{label}/row{row}" for row, label in enumerate(samples.labels)])
    return Collection(
        kind="codes",
        names=tuple(str(name) for name in called),
        labels=samples.labels.astype(str),
        groups=None if samples.groups is None else samples.groups.astype(str),
        codes=samples.codes,
        model=model,
    )


def read_meshes(
    path: StrPath,
    *,
    vertices: StrPath | None = None,
    scale: bool = False,
    steps: Steps | None = None,
) -> Collection:
    """Meshes of any one topology, ``IDENTITY/[GROUP/]NAME.obj`` (or .ply, .stl, .glb), mm, neutral, in any pose.

    The topology is that of most files; meshes of another are left out and listed, and so are damaged ones.

    Args:
        path: the folder.
        vertices: text file of vertex numbers, the region to align and compare on; None: the whole surface.
        scale: whether size is removed.
        steps: told of every file.

    Raises:
        FileError: no meshes, none that can be used, no topology that most have, or a bad vertex file.
    """
    source = Path(path)
    files = {
        printable(file.relative_to(source).as_posix()): file
        for file in sorted(source.rglob("*"))
        if file.suffix.lower() in MESH_SUFFIXES and file.is_file()
    }
    told = people_of([*files], lone_folder=True)
    people, clips = (dict(zip(files, found, strict=True)) for found in (told.identity, told.clip))
    excluded = [
        Excluded(name, "no identity: expected a folder per person") for name, person in people.items() if not person
    ]
    meshes, damaged = _loaded({name: file for name, file in files.items() if people[name]}, steps)
    excluded += damaged
    if not meshes:
        first = f"; the first: {excluded[0].item}: {excluded[0].reason}" if excluded else ""
        raise FileError(path, f"expected meshes as IDENTITY/NAME.obj (or .ply), found none that can be used{first}")
    same, other = _of_one_topology(path, meshes)
    weights = None if vertices is None else _region(vertices, len(next(iter(same.values())).vertices))
    try:
        aligned = align(list(same.values()), weights, scale=scale)
    except ValueError as error:
        raise FileError(path, str(error)) from error
    names = unique_names(same)
    return Collection(
        kind="meshes",
        names=names,
        labels=np.array([people[name] for name in same]),
        groups=grouped([clips[name] for name in same], names),
        excluded=(*excluded, *other),
        aligned=aligned,
        triangles=next(iter(same.values())).triangles,
    )


MAX_NUMBERS = 1 << 26
"""Bytes of a list of vertex numbers."""


def read_vertex_numbers(path: StrPath) -> np.ndarray:
    """(n,) vertex numbers from 0, of a text file with numbers separated by blanks, commas or lines.

    Raises:
        FileError: missing, or something else than whole numbers.
    """
    try:
        words = read_bytes(path, MAX_NUMBERS).decode().replace(",", " ").split()
        numbers = np.array([int(word) for word in words], np.int64)
    except (ValueError, OverflowError) as error:
        raise FileError(path, f"expected whole numbers of vertices: {error}") from error
    if not len(numbers) or numbers.min() < 0:
        raise FileError(path, "expected at least one vertex number, from 0")
    return numbers


def _loaded(files: dict[str, Path], steps: Steps | None) -> tuple[dict[str, Mesh], list[Excluded]]:
    meshes, excluded = {}, []
    for number, (name, file) in enumerate(files.items()):
        if steps is not None:
            steps("meshes", number + 1, len(files))
        try:
            meshes[name] = Mesh.load(file)
        except Exception as error:  # whatever a file holds, the others are measured
            excluded.append(Excluded(name, as_file_error(file, error).reason))
    return meshes, excluded


def _of_one_topology(path: StrPath, meshes: dict[str, Mesh]) -> tuple[dict[str, Mesh], list[Excluded]]:
    """The meshes of the commonest topology, and records of the others."""
    kinds = {
        name: (len(mesh.vertices), digest(np.ascontiguousarray(mesh.triangles, np.int64).tobytes()))
        for name, mesh in meshes.items()
    }
    ranked = Counter(kinds.values()).most_common(2)
    if len(ranked) > 1 and ranked[0][1] == ranked[1][1]:
        sizes = listed([f"{size[0]} vertices ({count} meshes)" for size, count in ranked])
        raise FileError(path, f"expected meshes of one topology, got as many of another: {sizes}")
    wanted = ranked[0][0]
    other = [
        Excluded(name, f"another topology: {kind[0]} vertices where {ranked[0][1]} of {len(meshes)} have {wanted[0]}")
        for name, kind in kinds.items()
        if kind != wanted
    ]
    return {name: mesh for name, mesh in meshes.items() if kinds[name] == wanted}, other


def _region(path: StrPath, count: int) -> np.ndarray:
    numbers = read_vertex_numbers(path)
    if numbers.max() >= count:
        raise FileError(path, f"expected vertex numbers below {count}, got {numbers.max()}")
    weights = np.zeros(count)
    weights[numbers] = 1.0
    return weights
