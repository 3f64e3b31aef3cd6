"""The command `likeness train fusion`: its settings and what it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from likeness.arguments import MaybeInt, MaybePath
from likeness.cli.display import Display, in_lines
from likeness.cli.output import add_result
from likeness.cli.sources import opened_sources
from likeness.result_folder import ResultFolder, Source
from likeness.train.settings import FusionSettings

REGRESSOR = "regressor.onnx"
"""What trainings on photographs export to."""


@dataclass
class Fusion:
    """Learn what to believe of a network's features and of the fit of its points: what a person's shape is."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of a training with --recipe points; its network stays as it is but for how codes are read."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder for regressor.onnx, the checkpoint and the people's shapes (evidence.npz)."""
    synthetic: Path
    """Folder of rendered faces (`likeness train synthetic`)."""
    data: tuple[Path, ...] = ()
    """Photos of people, several of each, in the layouts of likeness train photos; none: only the shapes of rendered
    faces are learned from, and nothing of what tells people apart."""
    point_labels: Annotated[tuple[Path, ...], tyro.conf.arg(aliases=["--dense-labels"])] = ()
    """Where surface points lie in them (.npz of likeness train label-points)."""
    point_map: MaybePath = None
    """Which surface points those are (.npz); default: the embedded map of MediaPipe's 478."""
    model: MaybePath = None
    """Another face model (.npz) than the embedded one."""
    teacher: MaybePath = None
    """A face-recognition network (.onnx) that says who resembles whom; default: the labels' embeddings, if any."""
    colours: MaybePath = None
    """Folder of an earlier training, or an exported regressor (.onnx), whose albedo and light are read from the new
    features, too."""
    limit: MaybeInt = None
    """People and rendered faces to look at, at most, for a small run; default: everybody and 28,000 faces."""
    steps: int = FusionSettings.steps
    """Steps of the optimiser."""
    threads: int = 0
    """CPU threads; 0: all."""
    seed: int = 0
    """Random seed."""
    resume: bool = False
    """Take the people's shapes (evidence.npz) and what was looked at (looks.npz) that are in --out."""
    overwrite: bool = False
    """Replace what is in --out and is not of the same data, too."""


def train_on_points(settings: Fusion, display: Display) -> None:
    """Run ``likeness train fusion``.

    Raises:
        likeness.FileError: a source, the labels or the network cannot be used.
        ValueError: too few people to learn from, or photos without labels.
    """
    from likeness.assets import asset
    from likeness.datasets import SyntheticFaces
    from likeness.datasets.dense_labels import match_points, read_point_labels
    from likeness.model.face_model import FaceModel
    from likeness.model.surface_points import PointMap, default_point_map
    from likeness.train.checkpoint import CHECKPOINT
    from likeness.train.photos.export import export_regressor
    from likeness.train.photos.fusion_looks import LOOKS
    from likeness.train.photos.fusion_trainer import EVIDENCE, FusionRun, train_fusion
    from likeness.train.photos.labels import Sources

    if bool(settings.data) != bool(settings.point_labels):
        raise ValueError("expected --data and --point-labels together, or neither: rendered faces alone")
    model = FaceModel.load(asset("face_model.npz") if settings.model is None else settings.model)
    points = default_point_map() if settings.point_map is None else PointMap.load(settings.point_map)
    source = Source.of(settings.run, *settings.data)
    folder = ResultFolder(settings.out, "train fusion", overwrite=settings.overwrite or settings.resume)
    files = (CHECKPOINT, EVIDENCE, LOOKS, REGRESSOR)
    folder.check("run", files, source)
    opened = opened_sources(settings.data, display)
    labels = [read_point_labels(path, len(points)) for path in settings.point_labels]
    stores = [None if one is None else one.images for one in (opened.frames, opened.photos)]
    synthetic = SyntheticFaces(settings.synthetic, model)
    sources = Sources(model, opened.frames, synthetic, opened.photos, None, points, *match_points(labels, stores))
    folder.keep("run", files, source)
    run = FusionRun(
        settings.run,
        settings.out,
        FusionSettings(steps=settings.steps, seed=settings.seed),
        settings.teacher,
        settings.colours,
        settings.limit,
        FusionRun.faces if settings.limit is None else settings.limit,
        settings.resume,
        settings.threads,
    )
    figures = train_fusion(run, sources, display.tell, display)
    export_regressor(settings.out / CHECKPOINT, settings.out / REGRESSOR)
    display.tell(f"-> {settings.out / REGRESSOR}")
    for line in in_lines(figures):
        display.tell(line)
    add_result(*settings.data, files=[settings.out / REGRESSOR], figures=dict(figures))
