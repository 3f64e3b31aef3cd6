"""Saved results, ``NAME.json`` of `likeness reconstruct` in a folder per person, read back as predictions."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from likeness.datasets.identities import people_of
from likeness.datasets.test_sets import PhotoItem
from likeness.errors import Excluded, FileError, StrPath, as_file_error, printable
from likeness.evaluate.predictions import FoundFace, Prediction, Steps
from likeness.model.face_model import FaceModel
from likeness.readers import read_json

RESULT = "a result of likeness reconstruct"
MAX_BYTES = 1 << 24
NEEDED = ("photo", "model", "identity", "expression", "landmarks")
KINDS = {"face": NEEDED, "person": ("person", "model", "identity", "photos")}


def kind_of_result(path: Path) -> str:
    """What a JSON file is of: a ``"face"`` or a ``"person"`` that `likeness reconstruct` made; empty: something else,
    such as an annotation."""
    try:
        content = read_json(path, RESULT, largest=MAX_BYTES)
    except FileError:
        return ""
    if not isinstance(content, dict):
        return ""
    return next((kind for kind, keys in KINDS.items() if set(keys) <= set(content)), "")


def read_results(
    folder: StrPath, model: FaceModel, steps: Steps | None = None
) -> tuple[list[Prediction], list[Excluded]]:
    """``IDENTITY/[GROUP/]NAME.json`` of a folder.

    Left out and listed are files that are no results or damaged, and second faces (``NAME-2.json`` beside
    ``NAME.json``): who they are is not known. Of files outside a person's folder the identity is empty.

    Args:
        folder: of the results.
        model: the face model that they were made with.
        steps: told of every file.

    Raises:
        FileError: no result at all, or results of another face model.
    """
    source = Path(folder)
    files = sorted(
        path
        for path in source.rglob("*.json")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(source).parts)
    )
    predictions: list[Prediction] = []
    excluded: list[Excluded] = []
    names = [printable(path.relative_to(source).as_posix()) for path in files]
    told = people_of(names, lone_folder=True)
    for number, (path, name, identity, group) in enumerate(zip(files, names, told.identity, told.clip, strict=True)):
        if steps is not None:
            steps("results", number + 1, len(files))
        try:
            content = _content(path)
            if str(content["model"]) != model.name:
                raise _OtherModelError(path, f"was made with face model {content['model']!r}, got {model.name!r}")
            if _is_further(path, content):
                raise FileError(path, f"is not the first face of photo {content['photo']!r}: who it is is not known")
            face = _face(path, content, model)
        except _OtherModelError:
            raise
        except Exception as error:  # whatever a file holds, the others are measured
            excluded.append(Excluded(name, as_file_error(path, error).reason))
            continue
        item = PhotoItem(name.removesuffix(".json"), identity or "", group, partial(_no_photo, name))
        predictions.append(Prediction(item, face))
    if not predictions:
        first = f"; the first: {excluded[0].item}: {excluded[0].reason}" if excluded else ""
        raise FileError(folder, f"expected results as IDENTITY/NAME.json, found none that can be used{first}")
    return predictions, excluded


def _is_further(path: Path, content: dict[str, Any]) -> bool:
    """Whether a result is of another face than the photo's first."""
    if "face" in content:
        return content["face"] != 1
    return printable(path.stem) != content["photo"] and os.path.isfile(path.parent / f"{content['photo']}.json")


class _OtherModelError(FileError):
    """Not a matter of one file: all results would be left out, or be read wrongly."""


def _no_photo(name: str) -> bytes:
    raise FileError(name, "is a saved result; its photo is not at hand")


def _content(path: Path) -> dict[str, Any]:
    content = read_json(path, RESULT, largest=MAX_BYTES)
    missing = [key for key in NEEDED if not isinstance(content, dict) or key not in content]
    if missing:
        raise FileError(path, f"expected {RESULT}, {', '.join(missing)} missing")
    return content


def _face(path: Path, content: dict[str, Any], model: FaceModel) -> FoundFace:
    try:
        weights = [float(content["expression"][name]) for name in model.expression_names]
        face = FoundFace(
            np.array(content["identity"], np.float32),
            np.array(weights, np.float32),
            np.array(content["landmarks"], np.float32),
            float(content.get("score", 1.0)),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FileError(path, f"is damaged ({type(error).__name__}: {error})") from error
    if not face.fits(model):
        size = len(model.identity_basis)
        raise FileError(path, f"expected {size} finite identity numbers and 68 landmarks, got {face.identity.shape}")
    return face
