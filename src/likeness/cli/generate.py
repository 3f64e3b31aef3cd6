"""The commands `likeness train skins`, `synthetic`, `morphs`, `detector` and `export`: settings, what they run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from likeness.arguments import MaybePath
from likeness.cli.display import Display
from likeness.cli.output import add_result
from likeness.cli.sources import opened_sources
from likeness.errors import FileError
from likeness.progress import Steps
from likeness.result_folder import ResultFolder, Source
from likeness.train.settings import DetectorSettings

if TYPE_CHECKING:
    from likeness.datasets import Photos as Photographs
    from likeness.train.photos.labels import PseudoLabels

SET = "set"
"""Under which name the files of a made set are on record in its folder."""


@dataclass
class Skins:
    """Take the skins of people off photographs, for rendered faces to wear: what --skins of `synthetic` reads."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """File for them (.npz)."""
    data: tuple[Path, ...]
    """Tight photos of faces, in the layouts of `likeness train photos`."""
    network: MaybePath = None
    """A network (.onnx) that takes the heads out of them, if not the embedded one."""
    model: MaybePath = None
    """The face model (.npz) of that network, if not the embedded one."""
    people: int | None = None
    """Take no more people than these, drawn at random. Default: everybody."""
    each: int = 1
    """Skins of a person, at most."""
    size: int = 256
    """Texels of a skin's side."""
    min_score: float = 0.99
    """Leave photos out in which the network believes less in a face (0 to 1)."""
    overwrite: bool = False
    """Replace a file that was not made by this command from the same input, too."""


@dataclass
class Synthetic:
    """Render faces of a face model with exact labels: what --synthetic of the trainings reads."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder for the files, one .npy a label."""
    model: MaybePath = None
    """The face model (.npz) whose faces are drawn, if not the embedded one."""
    count: int = 24_000
    """Faces."""
    skins: MaybePath = None
    """Skins that some of the faces wear (`likeness train skins`); with them some have hair that stands off the head,
    closed eyes, or are seen in profile, too."""
    seed: int = 0
    """Random seed."""
    processes: int = 1
    """That share the work; how many changes nothing of the result."""
    overwrite: bool = False
    """Replace files in --out that were not made by this command from the same input, too."""


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
    """Random seed."""
    processes: int = 1
    """That share the work; how many changes nothing of the result."""
    overwrite: bool = False
    """Replace files in --out that were not made by this command from the same input, too."""


@dataclass
class Detector:
    """Learn the network that finds faces in photographs."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder for finder.onnx, the checkpoint and the labels made on the way."""
    data: Path
    """Folder with photos/video-train.tar and photos/photo-train.tar."""
    synthetic: Path
    """Folder of rendered faces (`likeness train synthetic`)."""
    model: MaybePath = None
    """The face model (.npz) of the synthetic faces, if not the embedded one."""
    network: MaybePath = None
    """The regressor (.onnx) that labels the photos, if not the embedded one."""
    min_score: float = 0.8
    """Leave photos out in which it believes less in a face (0 to 1)."""
    budget: int = DetectorSettings.budget
    """Scenes to see."""
    threads: int = 2
    """CPU threads; the training takes one fewer, which is left for the process that makes scenes."""
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
    overwrite: bool = False
    """Replace a training in --out that is not of the same data, too."""


@dataclass
class Export:
    """Write the network of a training's checkpoint as ONNX again."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The .onnx file to write."""
    run: Path
    """Folder of the training."""
    name: str = "likeness-regressor"
    """What the network calls itself in results."""
    overwrite: bool = False
    """Replace a file that was not written by this command from the same training, too."""


def take_skins(settings: Skins, display: Display) -> None:
    """Run ``likeness train skins``.

    Raises:
        likeness.FileError: a source cannot be read, no photo shows a face that can be used, or the file in the way is
            somebody else's.
    """
    from likeness.datasets.pictures import of_some_people
    from likeness.reconstruct.reconstructor import Reconstructor
    from likeness.train.generate.skins import skins_of

    source = Source.of(*settings.data)
    folder = ResultFolder(settings.out.parent, "train skins", overwrite=settings.overwrite)
    folder.check(settings.out.name, (settings.out.name,), source)
    photos = opened_sources(settings.data, display).photos
    if photos is None:
        raise FileError(settings.data[0], "expected photos of people")
    if settings.people is not None:
        photos = of_some_people(photos, settings.people)
    reconstruct = Reconstructor(settings.model, settings.network)
    skins = skins_of(photos, reconstruct, settings.each, settings.size, settings.min_score, display)
    files = folder.save(settings.out.name, source, lambda stage: skins.save(stage / settings.out.name))
    add_result(settings.data[0], files=files, figures={"skins": len(skins)})
    display.tell(f"{len(skins)} skins -> {settings.out}")


def render_synthetic(settings: Synthetic, display: Display) -> None:
    """Run ``likeness train synthetic``.

    Raises:
        likeness.FileError: the model cannot be used, or files in the way are somebody else's.
    """
    from likeness.datasets.memory_maps import SYNTHETIC_FILES
    from likeness.model.face_model import FaceModel
    from likeness.train.generate.rendered import Variety, write_set
    from likeness.train.generate.skins import Skins as Worn

    _check_counts(settings)
    file, skins = _model_file(settings.model), settings.skins
    model, source = FaceModel.load(file), Source.of(file, *(() if skins is None else (skins,)))
    variety = None if skins is None else Variety(Worn.load(skins, model))
    folder = ResultFolder(settings.out, "train synthetic", overwrite=settings.overwrite)
    folder.check(SET, SYNTHETIC_FILES, source)

    def write(stage: Path) -> None:
        done = write_set(model, stage, settings.count, settings.seed, settings.processes, variety)
        _watched(done, settings.count, "rendering faces", display)

    add_result(file, files=folder.save(SET, source, write), figures={"faces": settings.count})
    display.tell(f"{settings.count} faces -> {settings.out}")


def _check_counts(settings: Synthetic | Morphs) -> None:
    for name in ("count", "processes"):
        if getattr(settings, name) < 1:
            raise ValueError(f"expected --{name} of at least 1, got {getattr(settings, name)}")


def mix_morphs(settings: Morphs, display: Display) -> None:
    """Run ``likeness train morphs``.

    Raises:
        likeness.FileError: a source or the teacher cannot be used, or files in the way are somebody else's.
        ValueError: there are not two people to mix, or nothing says where their landmarks are.
    """
    from likeness.datasets.memory_maps import MORPH_FILES
    from likeness.train.generate.morphs import faces_of, write_morphs

    _check_counts(settings)
    source = Source.of(*settings.data)
    folder = ResultFolder(settings.out, "train morphs", overwrite=settings.overwrite)
    folder.check(SET, MORPH_FILES, source)
    opened = opened_sources(settings.data, display)
    if settings.run is None and opened.frames is None:
        raise ValueError("expected --run, a training whose network finds landmarks: none of these photos has any")
    pseudo = _labelled(settings, opened.photos, display)
    faces = faces_of(opened.frames, opened.photos, pseudo)

    def write(stage: Path) -> None:
        done = write_morphs(faces, settings.teacher, stage, settings.count, settings.seed, settings.processes)
        _watched(done, settings.count, "mixing people", display)

    add_result(*settings.data, files=folder.save(SET, source, write), figures={"pictures": settings.count})
    display.tell(f"{settings.count} pictures of new people -> {settings.out}")


def _labelled(settings: Morphs, photos: Photographs | None, display: Display) -> PseudoLabels | None:
    """Landmarks of photos that have none, by the network of --run."""
    if settings.run is None or photos is None:
        return None
    from likeness.model.face_model import FaceModel
    from likeness.train.checkpoint import CHECKPOINT, load_regressor
    from likeness.train.losses.reconstruction import LandmarkHead
    from likeness.train.photos.pseudo_labels import label_photos

    network, _ = load_regressor(settings.run / CHECKPOINT)
    model = FaceModel.load(_model_file(settings.model))
    return label_photos(network, LandmarkHead(model), photos, watch=display)


def train_detector(settings: Detector, display: Display) -> None:
    """Run ``likeness train detector``.

    Raises:
        likeness.FileError: a source or checkpoint cannot be used, or files in the way are somebody else's.
    """
    from likeness.model.face_model import FaceModel
    from likeness.train.checkpoint import CHECKPOINT
    from likeness.train.detector import trainer
    from likeness.train.detector.faces import read_bank
    from likeness.train.detector.scenes import SceneMaker

    photos, source = settings.data / "photos", Source.of(settings.data, settings.synthetic)
    folder = ResultFolder(settings.out, "train detector", overwrite=settings.overwrite or settings.resume)
    folder.keep("run", (CHECKPOINT, trainer.FILE), source)
    display.tell(f"reading {photos}")
    bank = read_bank(
        photos / "video-train.tar",
        photos / "photo-train.tar",
        settings.out,
        synthetic_folder=settings.synthetic,
        model=FaceModel.load(_model_file(settings.model)),
        network=settings.network,
        min_score=settings.min_score,
        watch=display,
    )
    trainer.train_detector(
        SceneMaker(bank),
        settings.out,
        DetectorSettings(budget=settings.budget, learning_rate=settings.learning_rate, precision=settings.precision),
        start=None if settings.start is None else settings.start / CHECKPOINT,
        resume=settings.resume,
        workers=settings.workers,
        threads=max(1, settings.threads - 1),
        report=display.training,
    )
    trainer.export_detector(settings.out / CHECKPOINT, settings.out / trainer.FILE)
    display.tell(f"-> {settings.out / trainer.FILE}")
    add_result(settings.data, files=[settings.out / trainer.FILE])


def export(settings: Export, display: Display) -> None:
    """Run ``likeness train export``.

    Raises:
        likeness.FileError: the checkpoint cannot be used, or a file in the way is somebody else's.
    """
    from likeness.train.checkpoint import CHECKPOINT
    from likeness.train.photos.export import export_regressor

    checkpoint, name, source = settings.run / CHECKPOINT, settings.out.name, Source.of(settings.run)
    folder = ResultFolder(settings.out.parent, "train export", overwrite=settings.overwrite)
    folder.check(name, [name], source)
    written = folder.save(name, source, lambda stage: export_regressor(checkpoint, stage / name, settings.name))
    add_result(settings.run, files=written)
    display.tell(f"-> {settings.out}")


def _model_file(given: Path | None) -> Path:
    """The face model that was asked for, or the embedded one."""
    from likeness.assets import asset

    return asset("face_model.npz") if given is None else given


def _watched(done: Iterator[int], count: int, what: str, watch: Steps) -> None:
    """Do it all, and say how far it is."""
    watch(what, 0, count)
    for rows in done:
        watch(what, rows, count)
