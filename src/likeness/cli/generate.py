"""The commands `likeness train synthetic`, `morphs`, `detector` and `export`: their settings and what they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from likeness.arguments import MaybePath
from likeness.train.settings import DetectorSettings

Tell = Callable[[str], None]
Step = Callable[[str, int, int], None]


@dataclass
class Synthetic:
    """Render faces of a face model with exact labels: what --synthetic of the trainings reads."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder for the files, one .npy a label."""
    model: Path
    """The face model (.npz) whose faces are drawn."""
    count: int = 24_000
    """Faces."""
    seed: int = 0
    """Of everything random."""
    processes: int = 1
    """That share the work; how many changes nothing of the result."""


@dataclass
class Morphs:
    """Mix the people of photos to new ones, and ask a teacher who they are: what --morphs of the trainings reads."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder for the files, one .npy a label."""
    data: tuple[Path, ...]
    """Photos, in the layouts of `likeness train photos`."""
    teacher: Path
    """A face-recognition network (.onnx)."""
    run: MaybePath = None
    """Folder of a training whose network finds the landmarks of photos that have none; without, they are left out."""
    model: MaybePath = None
    """The face model (.npz) of that training, if not the embedded one."""
    count: int = 24_000
    """Pictures."""
    seed: int = 0
    """Of everything random."""
    processes: int = 1
    """That share the work; how many changes nothing of the result."""


@dataclass
class Detector:
    """Learn the network that finds faces in photographs."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder for finder.onnx, the checkpoint and the labels made on the way."""
    data: Path
    """Folder with photos/video-train.tar and photos/photo-train.tar."""
    model: Path
    """The face model (.npz) of the synthetic faces."""
    synthetic: Path
    """Folder of rendered faces (`likeness train synthetic`)."""
    network: MaybePath = None
    """The regressor (.onnx) that labels the photos, if not the embedded one."""
    budget: int = DetectorSettings.budget
    """Scenes to see."""
    threads: int = 2
    """CPU threads, one left to who makes scenes."""
    workers: int = 1
    """Processes that make the scenes."""
    precision: str = DetectorSettings.precision
    """32-true where the hardware does not know bfloat16."""
    learning_rate: float = DetectorSettings.learning_rate
    """The highest; it rises, then falls along a cosine."""
    start: MaybePath = None
    """Folder of an earlier training to begin with the weights of."""
    resume: bool = False
    """Go on from the checkpoint in --out."""


@dataclass
class Export:
    """Write the network of a training's checkpoint as ONNX again."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The .onnx file to write."""
    run: Path
    """Folder of the training."""
    name: str = "likeness-regressor"
    """What the network calls itself in results."""


def render_synthetic(settings: Synthetic, step: Step | None, tell: Tell) -> None:
    """Run ``likeness train synthetic``; ``step`` hears (stage, done, of how many)."""
    from likeness.model.face_model import FaceModel
    from likeness.train.generate.rendered import write_set

    model = FaceModel.load(settings.model)
    done = write_set(model, settings.out, settings.count, settings.seed, settings.processes)
    _watched(done, settings.count, "rendering", step)
    tell(f"{settings.count} faces -> {settings.out}")


def mix_morphs(settings: Morphs, step: Step | None, tell: Tell) -> None:
    """Run ``likeness train morphs``; ``step`` hears (stage, done, of how many)."""
    from likeness.assets import asset
    from likeness.datasets import open_sources
    from likeness.model.face_model import FaceModel
    from likeness.train.checkpoint import CHECKPOINT, load_regressor
    from likeness.train.generate.morphs import faces_of, write_morphs
    from likeness.train.losses.reconstruction import LandmarkHead
    from likeness.train.photos.validation import label_photos

    opened, pseudo = open_sources(settings.data), None
    for line in opened.describe():
        tell(line)
    if settings.run is not None and opened.photos is not None:
        network, _ = load_regressor(settings.run / CHECKPOINT)
        model = FaceModel.load(asset("face_model.npz") if settings.model is None else settings.model)
        pseudo = label_photos(network, LandmarkHead(model), opened.photos)
    faces = faces_of(opened.frames, opened.photos, pseudo)
    done = write_morphs(faces, settings.teacher, settings.out, settings.count, settings.seed, settings.processes)
    _watched(done, settings.count, "mixing", step)
    tell(f"{settings.count} pictures of new people -> {settings.out}")


def train_detector(settings: Detector, tell: Tell) -> None:
    """Run ``likeness train detector``; ``tell`` hears its progress."""
    import time

    from likeness.model.face_model import FaceModel
    from likeness.train.checkpoint import CHECKPOINT
    from likeness.train.detector.faces import read_bank
    from likeness.train.detector.scenes import SceneMaker
    from likeness.train.detector.trainer import FILE, export_detector, train_detector

    photos = settings.data / "photos"
    bank = read_bank(
        photos / "video-train.tar",
        photos / "photo-train.tar",
        settings.out,
        synthetic_folder=settings.synthetic,
        model=FaceModel.load(settings.model),
        network=settings.network,
    )
    training = DetectorSettings(
        budget=settings.budget, learning_rate=settings.learning_rate, precision=settings.precision
    )
    start, began = time.perf_counter(), [0]

    def report(step: int, terms: dict[str, float]) -> None:
        began[0] = began[0] or step - 1
        pace = (step - began[0]) * training.batch / (time.perf_counter() - start)
        losses = " ".join(f"{name} {value:.3g}" for name, value in terms.items())
        tell(f"{step}/{training.steps} {pace:.0f} scenes/s | {losses}")

    train_detector(
        SceneMaker(bank),
        settings.out,
        training,
        start=None if settings.start is None else settings.start / CHECKPOINT,
        resume=settings.resume,
        workers=settings.workers,
        threads=max(1, settings.threads - 1),
        report=report,
    )
    export_detector(settings.out / CHECKPOINT, settings.out / FILE)
    tell(f"-> {settings.out / FILE}")


def export(settings: Export, tell: Tell) -> None:
    """Run ``likeness train export``."""
    from likeness.train.checkpoint import CHECKPOINT
    from likeness.train.photos.export import export_regressor

    export_regressor(settings.run / CHECKPOINT, settings.out, settings.name)
    tell(f"-> {settings.out}")


def _watched(done: Iterator[int], count: int, stage: str, step: Step | None) -> None:
    """Do it all, and say how far it is."""
    for rows in done:
        if step is not None:
            step(stage, rows, count)
