"""A trained network that places points -> the same network with what was learned of whom to believe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from likeness.errors import FileError
from likeness.files import file_digest
from likeness.model.face_model import FaceModel
from likeness.progress import Steps, unheard
from likeness.train.checkpoint import CHECKPOINT, load_regressor, write_state
from likeness.train.photos.evidence import (
    Evidence,
    PlacedFaces,
    agreement,
    evidence_of_people,
    placed_faces,
    read_evidence,
    write_evidence,
)
from likeness.train.photos.fullness import FullEstimator, widened, wider
from likeness.train.photos.fused_network import install
from likeness.train.photos.fusion import Estimator, Known, learn, linear_estimates, ridge
from likeness.train.photos.fusion_inputs import (
    STRAYED,
    FusionInputs,
    Looker,
    Photographed,
    look_at_photos,
    look_at_rendered,
)
from likeness.train.photos.fusion_looks import LOOKS, Looks, looks_key, read_looks, write_looks
from likeness.train.photos.labels import Sources
from likeness.train.photos.network import Regressor
from likeness.train.photos.onnx_import import import_regressor
from likeness.train.photos.samples import SampleMaker
from likeness.train.photos.teacher_embeddings import TeacherNotes
from likeness.train.settings import EXPORTED, FusionSettings

EVIDENCE = "evidence.npz"
"""The file of people's shapes in the folder of a training."""

UNSURE, HARDEST = 2, 0.95
"""Which circumstance says how unsure points are, and the share of photographs that are surer than the least sure of
the rendered faces that say how large differences between people are."""

HELD_OUT = 10
"""One of so many rendered faces is not learned from: the figures are of those."""

KEPT = ("kind", "face_model", "settings", "objective", "sources", "step", "seen", "validation")
"""What of the frozen network's checkpoint is true of the new one."""


@dataclass(frozen=True)
class FusionRun:
    """What :func:`train_fusion` is told.

    Args:
        run: folder of the frozen network's training.
        out: folder for the checkpoint and the evidence.
        settings: of the estimate; the features' own is learned in as many steps, by
            :meth:`~likeness.train.settings.FusionSettings.of_features`.
        teacher: a face-recognition network (.onnx) whose opinion the features' own estimate is to follow; None: the
            embeddings that came with the labels, if any did.
        colours: folder of an earlier training, or an exported regressor (.onnx), whose albedo and light are read from
            the new features; None: what is said of them stays.
        people, faces: how many real people and how many rendered faces are looked at, at most; None: all people.
        resume: take the evidence and the looks in ``out`` if they are of the same people and networks.
        threads: CPU threads of torch; 0 leaves torch's choice.
    """

    run: Path
    out: Path
    settings: FusionSettings = field(default_factory=FusionSettings)
    teacher: Path | None = None
    colours: Path | None = None
    people: int | None = None
    faces: int = 28_000
    resume: bool = False
    threads: int = 0


def train_fusion(
    run: FusionRun, sources: Sources, tell: Callable[[str], None], watch: Steps = unheard
) -> dict[str, float]:
    """Learn what to believe of a frozen network's features and points; ``run.out/checkpoint.pt`` holds the result.

    Args:
        run: what is asked for.
        sources: labelled photos of known people with the map of the points, and rendered faces; without photos the
            best linear estimate of the rendered shapes is all that is learned, and the settings do not count.
        tell: hears a line now and then.
        watch: hears how far each stage is.

    Returns:
        Whether halves of people's photos agree (:func:`likeness.train.photos.evidence.agreement`), and by how many
        mm (RMS, :attr:`likeness.FaceModel.shape_metric`) held-out rendered faces are missed: by the fused estimate
        (``fused_mm``), by the features' own (``features_mm``), by the points' fit (``fit_mm``) and by the mean face.

    Raises:
        FileError: a checkpoint that is damaged or of another face model.
        ValueError: a network that places other points, or too few people to learn from.
    """
    if run.threads:
        torch.set_num_threads(run.threads)
    if not sources.placed:
        return _train_on_rendered(run, sources, tell, watch)
    material = gather(run, sources, tell, watch)
    known, factor, figures = material.known, sources.model.shape_metric.factor, material.figures
    looked = f"{len(known.inputs):,} photos of {known.people:,} people and {len(known.rendered):,} rendered faces"
    tell(f"learning from {looked}")
    whole = sources.model.metric.factor
    own = FusionSettings.of_features(run.settings.steps, run.settings.seed)
    plain = learn(known, factor, own, fitted=False, whole=whole, watch=watch)
    learned = learn(known, factor, run.settings, whole=whole, watch=watch)
    fused = finished(learned, known, sources.model, run.settings)
    if known.well_known <= len(factor):
        tell(f"not filtered: {known.well_known} people do not span {len(factor)} directions of shape")
    figures["people"] = known.well_known
    figures |= missed(fused, plain, *material.held_out, factor)
    made = install(material.network, fused, plain, _colours(material.photographed))
    _write(run, made, material.state, figures)
    return figures


def _train_on_rendered(
    run: FusionRun, sources: Sources, tell: Callable[[str], None], watch: Steps
) -> dict[str, float]:
    """Of rendered faces alone; see :func:`train_fusion`."""
    network, state = _network(run.run / CHECKPOINT, sources)
    assert sources.point_map is not None
    looks = _looks(run, Looker(network, sources.model, sources.point_map), None, sources, None, tell, watch)
    (rendered, truth), held_out = _divided(looks)
    tell(f"learning from {len(truth):,} rendered faces")
    fused, plain = linear_estimates(rendered, truth)
    figures = missed(fused, plain, *held_out, sources.model.shape_metric.factor)
    _write(run, install(network, fused, plain, {}), state, figures)
    return figures


@dataclass(frozen=True, eq=False)
class Material:
    """What an estimate is learned from.

    Args:
        network: the frozen one.
        state: of its checkpoint.
        known: real and rendered people.
        held_out: looks at rendered faces that are not learned from, and their codes.
        photographed: the looks at photographs.
        figures: whether halves of people's photos agree.
    """

    network: Regressor
    state: dict[str, Any]
    known: Known
    held_out: tuple[FusionInputs, np.ndarray]
    photographed: Photographed
    figures: dict[str, float]


def gather(run: FusionRun, sources: Sources, tell: Callable[[str], None], watch: Steps = unheard) -> Material:
    """Look at everything that :func:`train_fusion` learns from; arguments and errors are its own."""
    network, state = _network(run.run / CHECKPOINT, sources)
    earlier = None if run.colours is None else _earlier(run.colours, network, sources)
    assert sources.point_map is not None
    looker = Looker(network, sources.model, sources.point_map)
    faces = placed_faces(sources).first(run.people)
    tell(f"{len(faces):,} labelled photos of {len(faces.rows):,} people")
    evidence = _evidence(run, faces, sources, tell, watch)
    figures = agreement(evidence, sources.model.shape_metric.factor)
    tell(_line(figures) or "too few photos of anyone for halves")
    looks = _looks(run, looker, faces, sources, earlier, tell, watch)
    photographed = looks.photographed
    (rendered, truth), held_out = _divided(looks)
    embeddings = _embeddings(run, faces, sources, watch)
    member = np.unique(faces.person, return_inverse=True)[1][photographed.rows]
    known = Known.of(
        photographed.inputs,
        member,
        evidence.code,
        evidence.pictures,
        rendered,
        truth,
        None if embeddings is None else embeddings[photographed.rows],
    )
    return Material(network, state, known, held_out, photographed, figures)


def finished(
    learned: Estimator, known: Known, model: FaceModel, settings: FusionSettings
) -> Estimator | FullEstimator:
    """What becomes of a learned estimate: drawn towards the points, filtered where so many people are known that they
    span the directions of shape, as long as the truth, and as full as real people are. Arguments as for
    :func:`likeness.train.photos.fusion.learn`, with the face model."""
    factor, alike = model.shape_metric.factor, as_sure(known.rendered, known.inputs)
    made = learned.towards_points(settings.points)
    if known.well_known > len(factor):
        made = made.filtered(known.inputs, known.person, factor, settings.strength)
    made = made.lengthened(known.rendered[alike], known.truth[alike], factor)
    if not settings.wider:
        return made
    return widened(made, known.inputs, known.rendered, settings.wider * wider(model))


def missed(
    fused: Estimator | FullEstimator, plain: Estimator, inputs: FusionInputs, truth: np.ndarray, factor: np.ndarray
) -> dict[str, float]:
    """By how many mm shapes are missed, see :func:`train_fusion`."""
    guesses = {"fused": fused(inputs), "features": plain(inputs), "fit": inputs.code, "mean": np.zeros_like(truth)}
    return {
        f"{name}_mm": float(np.sqrt((((codes - truth) @ factor) ** 2).sum(1).mean()))
        for name, codes in guesses.items()
    }


def _network(path: Path, sources: Sources) -> tuple[Regressor, dict[str, Any]]:
    network, state = load_regressor(path)
    if state["face_model"] != sources.model.name:
        raise FileError(path, f"expected a network for {sources.model.name!r}, got {state['face_model']!r}")
    return network, state


def _weights(run: Path) -> Path:
    return run if run.suffix == EXPORTED else run / CHECKPOINT


def _earlier(colours: Path, network: Regressor, sources: Sources) -> Regressor:
    """A network that is asked for colours only: of a training, or as it was exported."""
    if colours.suffix != EXPORTED:
        return _network(colours / CHECKPOINT, sources)[0]
    exported = Regressor(replace(network.settings, told=0))
    import_regressor(colours, exported)
    return exported.eval()


def _evidence(
    run: FusionRun, faces: PlacedFaces, sources: Sources, tell: Callable[[str], None], watch: Steps
) -> Evidence:
    """Read where it is there and may be, otherwise made and written."""
    path = run.out / EVIDENCE
    if run.resume and path.exists():
        found = read_evidence(path, len(sources.model.identity_basis))
        if found.key == tuple(faces.key[rows[0]] for rows in faces.rows.values()):
            return found
        tell(f"{path}: of other people, made anew")
    made = evidence_of_people(sources.model, faces, sources, report=partial(watch, "people"), seed=run.settings.seed)
    write_evidence(path, made)
    return made


def _looks(
    run: FusionRun,
    looker: Looker,
    faces: PlacedFaces | None,
    sources: Sources,
    earlier: Regressor | None,
    tell: Callable[[str], None],
    watch: Steps,
) -> Looks:
    """Read where they are there and may be, otherwise taken and written; of photos none, where there are no faces."""
    if sources.synthetic is None:
        raise ValueError("expected rendered faces, whose shapes are known")
    count = min(run.faces, len(sources.synthetic))
    if count < 2:
        raise ValueError(f"expected two rendered faces, got {count}")
    path = run.out / LOOKS
    networks = [file_digest(_weights(one)) for one in (run.run, run.colours) if one is not None]
    key = looks_key(sources.model.name, *networks, str(count), *(() if faces is None else faces.key))
    if run.resume and path.exists():
        if (found := read_looks(path, key)) is not None:
            return found
        tell(f"{path}: of other faces or of another network, made anew")
    photographed = None
    if faces is not None:
        photographed = look_at_photos(looker, faces, sources, earlier, partial(watch, "photos"))
    maker = SampleMaker(sources, STRAYED)
    rendered, truth = look_at_rendered(looker, maker, range(count), partial(watch, "rendered"))
    looks = Looks(photographed or Photographed(np.zeros(0, np.int64), rendered[:0], {}), rendered, truth)
    write_looks(path, looks, key)
    return looks


def _divided(looks: Looks) -> tuple[tuple[FusionInputs, np.ndarray], tuple[FusionInputs, np.ndarray]]:
    """The rendered faces to learn from, and those held out."""
    inputs, truth = looks.rendered, looks.truth
    last = len(truth) - max(1, len(truth) // HELD_OUT)
    return (inputs[:last], truth[:last]), (inputs[last:], truth[last:])


def as_sure(rendered: FusionInputs, photographed: FusionInputs) -> np.ndarray:
    """Which rendered faces are no harder to read than nearly all photographs."""
    doubt = photographed.circumstances[:, UNSURE]
    return np.flatnonzero(rendered.circumstances[:, UNSURE] <= np.quantile(doubt, HARDEST))


def _embeddings(run: FusionRun, faces: PlacedFaces, sources: Sources, watch: Steps) -> np.ndarray | None:
    """What a face-recognition network says of the photos, (N, D)."""
    if run.teacher is None:
        return faces.embedding
    known = TeacherNotes.open(run.teacher, sources, run.out, watch).embeddings
    rows = [
        (known.frames if is_frame else known.photos)[number]  # type: ignore[index]  # there are some of these
        for is_frame, number in zip(faces.is_frame.tolist(), faces.number.tolist(), strict=True)
    ]
    return np.stack(rows)


def _colours(seen: Photographed) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What an earlier network says of colours, as read from the new features."""
    features = seen.inputs.features
    return {name: ridge(features, said.reshape(len(said), -1)) for name, said in seen.colours.items()}


def _write(run: FusionRun, network: Regressor, state: dict[str, Any], figures: dict[str, float]) -> None:
    """The checkpoint: it can be exported, labelled with and started from, not gone on with."""
    fusion = {
        "settings": asdict(run.settings),
        "people": run.people,
        "faces": run.faces,
        "colours": run.colours is not None,
        "teacher": run.teacher is not None,
        "figures": figures,
    }
    kept = {name: state[name] for name in KEPT if name in state}
    made = {"net": asdict(network.settings), "average": network.state_dict(), "fusion": fusion}
    write_state(run.out / CHECKPOINT, {**kept, **made})


def _line(values: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in values.items())
