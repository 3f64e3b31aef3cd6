"""One evaluation from settings to files: read, measure, write ``results.json``, ``panel.png`` and ``report.html``."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from likeness.assets import asset
from likeness.datasets.listing import people_told
from likeness.datasets.pair_lists import read_pairs
from likeness.datasets.pairs import read_names
from likeness.datasets.test_sets import PhotoSet, open_photos
from likeness.errors import FileError, MissingExtraError, listed, printable
from likeness.evaluate.cache import Cache
from likeness.evaluate.collection import Collection, from_predictions, named_among, of_known_people, without
from likeness.evaluate.fidelity.scans import scan_sources
from likeness.evaluate.html import report
from likeness.evaluate.inputs import kind_of, read_codes, read_meshes
from likeness.evaluate.outcome import Outcome
from likeness.evaluate.pair_examples import made_pairs
from likeness.evaluate.predictions import Predictor, Steps, open_predictor, predict
from likeness.evaluate.reports.fidelity import FidelityData, fidelity_table, mean_face_column, measure_fidelity
from likeness.evaluate.reports.landmarks import (
    landmark_outcome,
    landmarks_of_arrays,
    landmarks_of_predictions,
    landmarks_of_results,
)
from likeness.evaluate.reports.recognisability import recognisability_outcome
from likeness.evaluate.reports.reconstruction import ScanProtocol, measure_scans, reconstruction_outcome
from likeness.evaluate.reports.space import space_outcome
from likeness.evaluate.reports.verification import verification_outcome
from likeness.evaluate.saved_results import read_results
from likeness.evaluate.scans import find_scans, shapes_of_codes, shapes_of_meshes
from likeness.evaluate.settings import (
    Command,
    Fidelity,
    Landmarks,
    Reconstruction,
    Settings,
    ShapeSettings,
    Space,
    Verification,
)
from likeness.files import json_bytes, plain, write_atomically
from likeness.images.encode import png_bytes
from likeness.model.face_model import FaceModel
from likeness.result_folder import ResultFolder, Source
from likeness.version import __version__

RESULTS, REPORT, PANEL, CACHE = "results.json", "report.html", "panel.png", "cache"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was found and what was written.

    Args:
        outcome: numbers, tables and pictures.
        results: the content of results.json.
        files: what was written.
        damaged: cache entries that could not be used and were computed anew.
        cached: results that a former run had made.
        read: lines that say what was taken for what: people, splits.
    """

    outcome: Outcome
    results: dict[str, Any]
    files: tuple[Path, ...]
    damaged: int = 0
    cached: int = 0
    read: tuple[str, ...] = ()


def evaluate(command: Command, *, predictor: Predictor | None = None, steps: Steps | None = None) -> Evaluation:
    """Run one evaluation and write its files.

    Args:
        command: the settings, of :mod:`likeness.evaluate.settings`.
        predictor: what reconstructs photos; None: a reconstructor with the settings' model and network.
        steps: told of the progress.

    Raises:
        FileError: an input that cannot be used, or an output folder that cannot be written to.
        ValueError: data that cannot be measured (one person, no second photo of anyone ...).
        MissingExtraError: an optional dependency of this evaluation is not installed.
    """
    _check_extras(command)
    for name in ("bootstrap", "seed"):
        if getattr(command, name, 0) < 0:
            raise ValueError(f"expected --{name} of at least 0, got {getattr(command, name)}")
    source = Source.of(command.input) if command.input.exists() else Source()
    _folder(command).check(command.name, (RESULTS, REPORT, PANEL), source)
    cache = Cache(command.out / CACHE)
    run = _Run(command, cache, predictor, steps)
    outcome = run.outcome()
    return _written(command, run, outcome, source)


class _Run:
    """One evaluation's settings, and what they open on demand."""

    def __init__(self, command: Command, cache: Cache, predictor: Predictor | None, steps: Steps | None) -> None:
        self.command, self.cache, self.steps = command, cache, steps
        self._predictor = predictor
        self.kind = kind_of(command.input) if command.kind == "auto" else command.kind
        self.summary: dict[str, Any] = {"kind": self.kind}

    def outcome(self) -> Outcome:
        command = self.command
        if isinstance(command, Landmarks):
            return self._landmarks(command)
        if isinstance(command, Reconstruction):
            return self._reconstruction(command)
        if isinstance(command, Verification):
            return self._verification(command)
        if isinstance(command, Fidelity):
            return self._fidelity(command)
        collection = without(of_known_people(self.collection(command.input)), self.excluded_names())
        if isinstance(command, Space):
            model = self._face_model() if command.model is not None and self.kind == "meshes" else None
            return space_outcome(collection, model, samples=command.samples, seed=command.seed)
        gallery = None if command.gallery is None else of_known_people(self.collection(command.gallery, count=False))
        if gallery is not None:
            self.summary["read"] = [*collection.read, *gallery.read]
        steps = self.steps
        return recognisability_outcome(
            collection,
            gallery,
            bootstrap=command.bootstrap,
            seed=command.seed,
            progress=None if steps is None else lambda share: steps("pairs", int(1000 * share), 1000),
        )

    def collection(self, path: Path, count: bool = True, people: Iterable[str] | None = None) -> Collection:
        """The faces of an input, whatever it is; of photos those of some people only, if that is asked for."""
        command = self.command
        kind = self.kind if path == command.input else kind_of(path) if command.kind == "auto" else command.kind
        if kind == "codes":
            model = None if command.model is None else FaceModel.load(command.model)
            found = read_codes(path, model)
        elif kind == "meshes":
            shape = command if isinstance(command, ShapeSettings) else None
            found = read_meshes(
                path,
                vertices=None if shape is None else shape.vertices,
                scale=False if shape is None else shape.scale,
                steps=self.steps,
            )
        elif kind == "results":
            predictions, excluded = read_results(path, self._face_model(), self.steps)
            found = from_predictions(predictions, self._face_model(), excluded, kind="results")
        else:
            photos = open_photos(path) if people is None else _of_people(path, people)
            predictor = self.predictor
            predictions = predict(photos.items, predictor, self.cache, self.steps)
            found = from_predictions(predictions, predictor.model, photos.excluded)
            found = replace(found, pairs=photos.pairs, read=photos.read, splits=photos.splits)
        found = found.told(path)
        if count:
            self.summary = found.summary()
        return found

    @property
    def predictor(self) -> Predictor:
        """Opened when first asked for: saved results and codes need no network."""
        if self._predictor is None:
            settings: Settings = self.command
            self._predictor = open_predictor(
                settings.model,
                settings.network,
                yunet_model=settings.yunet,
                min_score=settings.min_score,
                threads=settings.threads,
                annotated_crops=settings.annotated_crops,
            )
        return self._predictor

    def excluded_names(self) -> tuple[str, ...]:
        """People and photos to leave out."""
        return () if self.command.exclude is None else read_names(self.command.exclude)

    def _face_model(self) -> FaceModel:
        if self._predictor is not None:
            return self._predictor.model
        return FaceModel.load(asset("face_model.npz") if self.command.model is None else self.command.model)

    def _verification(self, command: Verification) -> Outcome:
        given = None if command.pairs is None else read_pairs(command.pairs)
        collection = self.collection(command.input)
        pairs = given or collection.pairs
        if pairs is not None:
            return verification_outcome(collection, pairs, exclude=self.excluded_names())
        if not (collection.labels != "").any():
            raise ValueError("expected pairs (--pairs), or an input that tells who is in the photos")
        collection = without(of_known_people(collection), self.excluded_names())
        made = made_pairs(collection, command.made_pairs, command.seed)
        return verification_outcome(collection, made, made=True)

    def _landmarks(self, command: Landmarks) -> Outcome:
        if self.kind == "meshes":
            raise FileError(command.input, "holds meshes, which have no photo that their landmarks could be seen in")
        if self.kind == "codes":
            data = landmarks_of_arrays(command.input)
        elif self.kind == "results":
            if command.truth is None:
                raise ValueError("expected the photos with annotated landmarks (--truth) for saved results, got none")
            results, excluded = read_results(command.input, self._face_model(), self.steps)
            photos = open_photos(command.truth)
            data = landmarks_of_results(results, photos.items, (*excluded, *photos.excluded))
        else:
            photos = open_photos(command.input)
            predictions = predict(photos.items, self.predictor, self.cache, self.steps)
            data = landmarks_of_predictions(predictions, photos.excluded)
        read = {} if self.kind == "codes" else {"read": list(photos.read), "splits": list(photos.splits) or None}
        self.summary |= {"used": len(data.names), "excluded": len(data.excluded), **read}
        return landmark_outcome(data, command.normaliser)

    def _reconstruction(self, command: Reconstruction) -> Outcome:
        scans, unusable = find_scans(command.scans)
        protocol = ScanProtocol(command.protocol, command.scan_unit, command.mesh_unit)
        names = set(self.excluded_names())
        if self.kind == "meshes":
            shapes, excluded = shapes_of_meshes(command.input, command.mesh_landmarks, scans)
            who = people_told([shape.identity for shape in shapes])
            self.summary["read"] = [f"{printable(command.input)}: meshes: {len(shapes):,}, {who}"]
        else:
            collection = of_known_people(named_among(self.collection(command.input, people=scans), scans))
            if collection.model is None:
                raise ValueError("expected a face model (--model) to measure the shapes of codes, got none")
            shapes = shapes_of_codes(collection, command.fuse, covered=command.protocol == "genova")
            excluded = list(collection.excluded)
            protocol = replace(protocol, mesh_unit="mm")
        told = f"{printable(command.scans)}: scans: {len(scans):,}, {people_told([*scans])}"
        self.summary["read"] = [*self.summary["read"], told]
        kept = [shape for shape in shapes if not names & {shape.name, shape.identity}]
        measured, failed = measure_scans(kept, scans, protocol, self.cache, self.steps)
        self.summary |= {"used": len(measured), "excluded": len(excluded) + len(failed) + len(unusable)}
        return reconstruction_outcome(measured, protocol, (*unusable, *excluded, *failed))

    def _fidelity(self, command: Fidelity) -> Outcome:
        if self.kind != "photos":
            raise FileError(command.input, f"holds {self.kind}; expected photos, which are reconstructed")
        self.summary["read"] = list(open_photos(command.input).read)
        data = FidelityData(
            portraits=command.portraits,
            rendered=command.rendered,
            scans=() if command.scans is None else tuple(scan_sources(command.scans)),
            frames=command.input,
            photos=command.photos,
            judge=command.judge,
        )
        found = measure_fidelity(
            data, self.predictor, cache=self.cache, steps=self.steps, bootstrap=command.bootstrap, seed=command.seed
        )
        table = fidelity_table({"network": found, "mean face": mean_face_column(found)})
        notes = (f"not measured: {name}: {reason}" for name, reason in found.get("left_out", {}).items())
        return Outcome(found, (table,), notes=tuple(notes))


def _of_people(path: Path, people: Iterable[str]) -> PhotoSet:
    """The photos of people of whom there are scans: no others need be reconstructed."""
    known, photos = sorted(people), open_photos(path)
    found = photos.of_people(known)
    if not found.items:
        names = sorted({item.identity for item in photos.items if item.identity})
        raise FileError(
            path, f"expected photos of people with scans, of {listed(known)}; got photos of {listed(names)}"
        )
    return found


def _check_extras(command: Command) -> None:
    """Before hours of work, not after them."""
    needed = {"space": ("sklearn", "clustering"), "reconstruction": ("igl", "measuring against scans")}
    if isinstance(command, Fidelity) and command.scans is not None:
        needed["fidelity"] = ("igl", "measuring against scans")
    module, what = needed.get(command.name, ("", ""))
    if module and importlib.util.find_spec(module) is None:
        raise MissingExtraError(what, "scans")


def _folder(command: Command) -> ResultFolder:
    return ResultFolder(command.out, f"evaluate {command.name}", overwrite=command.overwrite)


def _written(command: Command, run: _Run, outcome: Outcome, source: Source) -> Evaluation:
    settings = _settings(command)
    results = {
        "likeness": __version__,
        "evaluation": command.name,
        "settings": settings,
        "input": {**run.summary, **source.to_dict()},
        **outcome.results,
        "tables": [table.to_dict() for table in outcome.tables],
        "excluded": [one.to_dict() for one in outcome.excluded],
    }
    read = tuple(run.summary.get("read", ()))
    summary = {
        key: value for key, value in run.summary.items() if value is not None and key not in ("read", "splits")
    }
    contents = {
        RESULTS: json_bytes(results),
        REPORT: report(
            f"likeness evaluate {command.name}",
            {**settings, **summary},
            replace(outcome, notes=(*read, *outcome.notes)),
        ),
        **({} if outcome.panel is None else {PANEL: png_bytes(outcome.panel)}),
    }

    def write(stage: Path) -> None:
        for name, content in contents.items():
            write_atomically(stage / name, content)

    _folder(command).save(command.name, source, write)
    files = tuple(command.out / name for name in contents)
    return Evaluation(outcome, plain(results), files, run.cache.damaged, run.cache.hits, read)


def _settings(command: Command) -> dict[str, Any]:
    """The settings that differ from their defaults or say what was measured, as text; files without their folders."""
    found = {}
    for key, value in vars(command).items():
        if key == "out" or value is None or value is False:
            continue
        found[key] = printable(value.name) if isinstance(value, Path) else value
    return found
