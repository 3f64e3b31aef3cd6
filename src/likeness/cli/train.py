"""The commands `likeness train scans` and `likeness train photos`: their settings and what they run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from likeness.arguments import MaybeInt, MaybePath
from likeness.cli.display import Display, in_lines
from likeness.cli.fusion import REGRESSOR, Fusion
from likeness.cli.generate import Detector, Export, Morphs, Skins, Synthetic
from likeness.cli.output import add_result
from likeness.cli.sources import opened_sources
from likeness.errors import FileError
from likeness.result_folder import ResultFolder, Source
from likeness.train.recipes import RECIPES, RecipeName, recipe
from likeness.train.schedule import Schedule
from likeness.train.settings import EXPORTED, PhotoSettings, ScanSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from likeness.datasets import Frames
    from likeness.datasets import Photos as Photographs
    from likeness.datasets.dense_labels import PlacedPoints
    from likeness.datasets.training import Opened
    from likeness.model.surface_points import PointMap
    from likeness.train.photos.validation import HeldOut

_ABOUT = (
    "Learn the network that reconstructs faces, from photographs: shapes that fit them and are recognisable (SIR); "
    "the model's identity basis too (recipe sfm)."
)


@dataclass
class Scans:
    """Learn a sphere face model, and an encoder, from registered meshes."""

    data: Annotated[Path, tyro.conf.Positional]
    """A folder of meshes with table.csv (file, identity, expression), an .npz of registered meshes, or a face model
    to draw people from."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The model (.npz) to write; NAME.encoder.npz and NAME.json (figures) go beside it."""
    template: MaybePath = None
    """The face model (.npz) that gives topology, expressions and albedo; default: the embedded one."""
    size: int = ScanSettings.size
    """K, numbers per identity code."""
    budget: int = ScanSettings.budget
    """Meshes to see."""
    people: MaybeInt = None
    """People to learn from, at most, for a small run; of a face model so many are drawn: 3,200, or fewer for a small
    budget."""
    start: Literal["pca", "lift"] = "pca"
    """Where the basis starts: pca, principal components with people moved onto the sphere; lift, one component fewer
    with people lifted onto it, their shapes unchanged."""
    seed: int = 0
    """Random seed."""
    run: MaybePath = None
    """Folder for the checkpoint and the TensorBoard curves."""
    resume: bool = False
    """Go on from the checkpoint in --run."""
    overwrite: bool = False
    """Replace files that were not written by this command from the same data, too."""


@dataclass
class Photos:
    """See :data:`_ABOUT`."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder for regressor.onnx, face_model.npz (if learned), the checkpoint and the TensorBoard curves."""
    data: tuple[Path, ...] = ()
    """Photos to learn from, as many sources as you have: WebDataset tars (KEY.jpg and KEY.json with landmarks,
    identity, clip), archives and folders of IDENTITY/NAME.jpg, 300W-LP, AFLW2000-3D, 300W, CelebA."""
    validation: tuple[Path, ...] = ()
    """Photos of other people, for the curves; in the same layouts, or a folder of portraits with hand-placed
    points (NAME.tem beside NAME.jpg)."""
    synthetic: MaybePath = None
    """Folder of rendered faces (`likeness train synthetic`)."""
    morphs: MaybePath = None
    """Folder of new people, mixed from those of the photos (`likeness train morphs`)."""
    teacher: MaybePath = None
    """A face-recognition network (.onnx, aligned RGB faces of 112 x 96 or 112 x 112) whose opinion of who resembles
    whom is distilled."""
    labeller: MaybePath = None
    """Folder of an earlier training for the same face model, whose network finds the landmarks of photos that have
    none; without, they join when the new network can find them itself."""
    trunk: MaybePath = None
    """Folder of an earlier training whose features are taken as they are; only what is read from them is learned."""
    start: MaybePath = None
    """Folder of an earlier training, or an exported regressor (.onnx), to go on from with another recipe or rate."""
    point_labels: tuple[Path, ...] = ()
    """Where surface points lie in the photos (.npz of likeness train label-points), for --recipe points."""
    point_map: MaybePath = None
    """Which surface points those are (.npz); default: the embedded map of MediaPipe's 478."""
    model: MaybePath = None
    """Another face model (.npz) than the embedded one."""
    recipe: RecipeName = "sir"
    """What is asked for; `--recipe NAME --help` shows all that it sets."""
    budget: int = Schedule.budget
    """Samples to see, over all devices."""
    learning_rate: float = Schedule.learning_rate
    """The highest; it rises, then falls along a cosine."""
    batch: float = 1.0
    """Samples per device and step, relative to the recipe's 112."""
    accumulate: int = 1
    """Batches per step."""
    accelerator: str = "auto"
    """cpu, cuda, mps or auto."""
    devices: int = 1
    """Devices per machine; torchrun and SLURM set up the rest."""
    nodes: int = 1
    """Machines."""
    precision: str = "32-true"
    """bf16-mixed halves the time on GPUs and on CPUs that know bfloat16."""
    threads: int = 0
    """CPU threads; 0: all."""
    workers: int = 0
    """Processes that prepare samples; give a GPU as many as there are cores."""
    people: MaybeInt = None
    """People to learn from, at most, for a small run; a picture of somebody unknown counts as one. Default: all."""
    seed: int = 0
    """Random seed."""
    resume: bool = False
    """Go on from the checkpoint in --out."""
    overwrite: bool = False
    """Replace a training in --out that is not of the same data, too."""


@dataclass
class LabelPoints:
    """Find MediaPipe's 478 surface points in photographs, for the training of a network that places them
    itself (needs the extra: points)."""

    data: tuple[Path, ...]
    """Photos, in the layouts of likeness train photos."""
    teacher: Path
    """The folder of MediaPipe's models, with face_landmarks_detector.tflite, or that file."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The labels (.npz) to write."""
    network: MaybePath = None
    """Another regressor (.onnx) than the embedded one, to find the faces of photos without landmarks."""
    model: MaybePath = None
    """The face model (.npz) that it is for."""
    min_score: float = 0.9
    """Leave photos without landmarks out in which it believes less in a face (0 to 1)."""
    threads: int = 1
    """CPU threads."""
    overwrite: bool = False
    """Replace a file that was not written by this command of the same photos, too."""


@dataclass
class Train:
    """Learn a model (needs the extra: train)."""

    action: tyro.conf.OmitSubcommandPrefixes[
        Annotated[Photos, tyro.conf.subcommand("photos")]
        | Annotated[Scans, tyro.conf.subcommand("scans")]
        | Annotated[Detector, tyro.conf.subcommand("detector")]
        | Annotated[Skins, tyro.conf.subcommand("skins")]
        | Annotated[Synthetic, tyro.conf.subcommand("synthetic")]
        | Annotated[Morphs, tyro.conf.subcommand("morphs")]
        | Annotated[LabelPoints, tyro.conf.subcommand("label-points")]
        | Annotated[Fusion, tyro.conf.subcommand("fusion")]
        | Annotated[Export, tyro.conf.subcommand("export")]
    ]


def describe_recipe(arguments: list[str]) -> None:
    """Add what the chosen recipe sets to the help of ``likeness train photos``."""
    chosen = "sir"
    for number, word in enumerate(arguments):
        name, _, value = word.partition("=")
        if name == "--recipe":
            chosen = value or next(iter(arguments[number + 1 :]), "")
    lines = [f"  {name}: {one.about}" for name, one in RECIPES.items()]
    if chosen in RECIPES:
        lines += ["", f"Recipe {chosen} sets", *(f"  {line}" for line in recipe(chosen).described())]
    Photos.__doc__ = "\n".join([_ABOUT, "", "Recipes:", *lines])


def train_on_scans(settings: Scans, display: Display) -> str:
    """Run ``likeness train scans``.

    Returns:
        What is wrong with the result, empty if nothing is.
    """
    from likeness.assets import asset
    from likeness.model.face_model import FaceModel
    from likeness.train.scans.meshes import drawn_people, read_meshes
    from likeness.train.scans.trainer import CHECKPOINT as SCANS_CHECKPOINT
    from likeness.train.scans.trainer import train_scans

    if settings.resume and settings.run is None:
        raise ValueError("expected --run, the folder of the checkpoint to go on from, with --resume")
    template = FaceModel.load(asset("face_model.npz") if settings.template is None else settings.template)
    name, source = settings.out.name, Source.of(settings.data)
    folder = ResultFolder(settings.out.parent, "train scans", overwrite=settings.overwrite)
    files = (name, *(settings.out.with_suffix(suffix).name for suffix in (".encoder.npz", ".json")))
    if settings.data.exists():
        folder.check(name, files, source)
    if settings.run is not None:
        kept = ResultFolder(settings.run, "train scans", overwrite=settings.overwrite or settings.resume)
        kept.keep("run", [SCANS_CHECKPOINT], source)
    people = drawn_people(settings.size, settings.budget) if settings.people is None else settings.people
    meshes = read_meshes(settings.data, template, people=people, seed=settings.seed, watch=display)
    if settings.people is not None:
        meshes = meshes.first_people(settings.people)
    display.tell(f"{settings.data}: {len(meshes.vertices):,} meshes of {meshes.people:,} people")
    scan_settings = ScanSettings(
        size=settings.size,
        out=settings.run,
        budget=settings.budget,
        start=settings.start,
        seed=settings.seed,
        resume=settings.resume,
    )
    made = train_scans(scan_settings, meshes, template, display.training, display)
    for line in in_lines(made.figures):
        display.tell(line)
    written = folder.save(name, source, lambda stage: made.save(stage / name, source))
    add_result(settings.data, files=written, figures=dict(made.figures))
    if made.kept:
        return ""
    sphere, pca = made.figures["sphere_mm"], made.figures["pca_less_one_mm"]
    return f"{settings.out}: held-out people are represented worse ({sphere:.4f} mm) than by PCA ({pca:.4f} mm)"


def train_on_photos(settings: Photos, display: Display) -> None:
    """Run ``likeness train photos``.

    Raises:
        likeness.FileError: a source cannot be used, or there is nothing to learn from.
        likeness.train.photos.trainer.TrainingError: a loss is not finite.
    """
    from likeness.assets import asset
    from likeness.datasets import SyntheticFaces
    from likeness.datasets.memory_maps import Morphs
    from likeness.model.face_model import FaceModel
    from likeness.train.checkpoint import CHECKPOINT
    from likeness.train.photos.export import export_regressor
    from likeness.train.photos.labels import Sources
    from likeness.train.photos.point_validation import HeldOutPoints
    from likeness.train.photos.trainer import FACE_MODEL, train_photos

    if not settings.data and settings.synthetic is None:
        raise FileError(settings.out, "nothing to learn from: expected --data or --synthetic")
    model = FaceModel.load(asset("face_model.npz") if settings.model is None else settings.model)
    source = Source.of(*settings.data, *(() if settings.synthetic is None else (settings.synthetic,)))
    folder = ResultFolder(settings.out, "train photos", overwrite=settings.overwrite or settings.resume)
    folder.check("run", (CHECKPOINT, REGRESSOR, FACE_MODEL), source)
    opened = _opened(settings.data, settings, display)
    held_out = _held_out(settings.validation, display)
    points = _point_map(settings)
    placed = _placed(settings, points, (opened.frames, opened.photos, held_out.frames, held_out.photos))
    sources = Sources(
        model,
        opened.frames,
        None if settings.synthetic is None else SyntheticFaces(settings.synthetic, model),
        opened.photos,
        None if settings.morphs is None else Morphs(settings.morphs),
        points,
        *placed[:2],
    )
    if points is not None:
        display.tell(f"surface points: {sources.placed:,} pictures to learn from")
        held_out = replace(held_out, points=HeldOutPoints(points, *placed[2:]))
    folder.keep("run", (CHECKPOINT, REGRESSOR, FACE_MODEL), source)
    told = photo_settings(settings, sources.embedding_size > 0)
    figures = train_photos(told, sources, held_out, display.training, display)
    export_regressor(settings.out / CHECKPOINT, settings.out / REGRESSOR)
    display.tell(f"-> {settings.out / REGRESSOR}")
    for line in in_lines(figures):
        display.tell(line)
    add_result(*settings.data, files=[settings.out / REGRESSOR], figures=dict(figures))


def _opened(paths: Sequence[Path], settings: Photos, display: Display) -> Opened:
    """The photos to learn from; of a few people only, if the user wants a small run."""
    from likeness.datasets.pictures import of_some_people

    # Of a few people's pictures only those that are needed are decoded.
    opened = opened_sources(paths, display, are_decoded=settings.people is None)
    if settings.people is None:
        return opened
    frames = None if opened.frames is None else of_some_people(opened.frames, settings.people, settings.seed)
    photos = None if opened.photos is None else of_some_people(opened.photos, settings.people, settings.seed)
    count = sum(len(part.images) for part in (frames, photos) if part is not None)
    display.tell(f"--people {settings.people:,}: {count:,} of these pictures")
    return replace(opened, frames=frames, photos=photos)


def _held_out(paths: Sequence[Path], display: Display) -> HeldOut:
    """What the curves are measured on."""
    from likeness.datasets import open_sources
    from likeness.train.photos.fidelity_curves import HeldOutPortraits
    from likeness.train.photos.validation import HeldOut

    placed = [path for path in paths if path.is_dir() and any(path.glob("*.tem"))]
    if len(placed) > 1:
        raise FileError(placed[1], f"expected one folder of portraits with hand-placed points, got {placed[0]} too")
    opened = open_sources([path for path in paths if path not in placed])
    portraits = HeldOutPortraits.read(placed[0]) if placed else None
    for line in opened.describe():
        display.tell(f"validation: {line}")
    if portraits is not None:
        display.tell(f"validation: {placed[0]}: {len(portraits.images)} portraits with hand-placed points")
    return HeldOut(opened.frames, opened.photos, portraits=portraits)


def _placed(
    settings: Photos, points: PointMap | None, sources: Sequence[Frames | Photographs | None]
) -> list[PlacedPoints | None]:
    """Where surface points lie in the pictures of each source."""
    from likeness.datasets.dense_labels import match_points, read_point_labels

    labels = [] if points is None else [read_point_labels(path, len(points)) for path in settings.point_labels]
    return match_points(labels, [None if one is None else one.images for one in sources])


def photo_settings(settings: Photos, embeddings: bool = False) -> PhotoSettings:
    """The command's settings as the training wants them; ``embeddings`` came with the surface points."""
    from likeness.train.checkpoint import CHECKPOINT

    preset, start = recipe(settings.recipe), settings.start
    return PhotoSettings(
        out=settings.out,
        schedule=Schedule(budget=settings.budget, learning_rate=settings.learning_rate),
        mix=preset.mix.scaled(settings.batch),
        augment=preset.augment,
        objective=preset.objective(settings.teacher is not None or embeddings),
        teacher=settings.teacher,
        labeller=None if settings.labeller is None else settings.labeller / CHECKPOINT,
        trunk=None if settings.trunk is None else settings.trunk / CHECKPOINT,
        start=start if start is None or start.suffix == EXPORTED else start / CHECKPOINT,
        frozen=preset.frozen,
        trunk_rate=preset.trunk_rate,
        remain=0.0 if start is None else preset.remain,
        reliability=preset.reliability,
        seed=settings.seed,
        resume=settings.resume,
        accelerator=settings.accelerator,
        devices=settings.devices,
        nodes=settings.nodes,
        precision=settings.precision,
        accumulate=settings.accumulate,
        threads=settings.threads,
        workers=settings.workers,
    )


def _point_map(settings: Photos) -> PointMap | None:
    """Which surface points the network is to place; None: none."""
    from likeness.model.surface_points import PointMap, default_point_map

    if settings.recipe != "points":
        if settings.point_labels or settings.point_map is not None:
            raise ValueError("expected --point-labels and --point-map with --recipe points alone")
        return None
    return default_point_map() if settings.point_map is None else PointMap.load(settings.point_map)


def label_photos(settings: LabelPoints, display: Display) -> None:
    """Run ``likeness train label-points``.

    Raises:
        likeness.FileError: a source or the teacher cannot be used, or there is no face in any picture.
    """
    from likeness.datasets.dense_labels import write_point_labels
    from likeness.datasets.label_points import label_points
    from likeness.model.surface_points import default_point_map
    from likeness.networks.mediapipe import FaceLandmarker
    from likeness.reconstruct.reconstructor import Reconstructor

    name, source = settings.out.name, Source.of(*settings.data)
    folder = ResultFolder(settings.out.parent, "train label-points", overwrite=settings.overwrite)
    folder.check(name, [name], source)
    network = FaceLandmarker.load(settings.teacher, settings.threads)
    finder = Reconstructor(settings.model, settings.network, min_score=settings.min_score, threads=settings.threads)
    opened = opened_sources(settings.data, display)
    report = partial(display, "labelling pictures")
    made = label_points(opened, network, finder, default_point_map(), str(settings.out), report)
    written = folder.save(name, source, lambda stage: write_point_labels(stage / name, made.labels))
    figures = {"labelled": len(made.labels), "left_out": len(made.excluded)}
    add_result(*settings.data, files=written, figures=figures)
    display.tell(f"{settings.out}: {len(made.labels):,} pictures labelled, {len(made.excluded):,} left out")
