"""The papers' question, answered: do recognisable parameters make recognisable shapes, and what does it take?

    python benchmarks/claims.py DATA --synthetic FOLDER --morphs FOLDER --labeller RUN --trunk RUN

Trains every variant with the same pictures, budget and network, for three seeds, and measures on people that none of
them saw. All share the features of one network (``--trunk``, a training with a teacher: that few people cannot teach
features that tell others apart, and the papers too start from a recogniser), left as they are; what is read from them
is learned anew by each variant. ``PCA`` is the sphere model's own space in principal axes with Gaussian codes: the
same shapes and spread, so what differs is the sphere alone. Every finished run is kept in ``--out``; a killed table
goes on where it was.

Columns: landmark NME (video-val, annotated crops); shape error of rendered people that were held out, RMS over the
face, as predicted and after a similarity; AUC by code and by geometry, across clips (video-val) and photos
(photo-val), and their difference, the transfer gap; SIR metric by geometry; NMI of k-means clusters by code and by
geometry (photo-val). Mean and standard deviation over seeds.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from likeness.assets import asset
from likeness.datasets import Frames, Photos, SyntheticFaces, read_frames, read_photos
from likeness.datasets.memory_maps import Morphs
from likeness.metrics.procrustes import align
from likeness.metrics.recognisability import compare_domains
from likeness.metrics.records import Samples
from likeness.metrics.shape_space import clustering
from likeness.model.face_model import FaceModel
from likeness.model.identity import GaussianSpace
from likeness.train.checkpoint import CHECKPOINT, load_regressor
from likeness.train.losses.reconstruction import LandmarkHead
from likeness.train.photos.labels import PseudoLabels, Sources
from likeness.train.photos.network import Regressor
from likeness.train.photos.samples import SampleMaker
from likeness.train.photos.teacher_embeddings import NOTES
from likeness.train.photos.trainer import Trainer
from likeness.train.photos.validation import codes_at, label_photos, validate
from likeness.train.recipe_settings import ObjectiveSettings
from likeness.train.recipes import recipe
from likeness.train.schedule import Schedule
from likeness.train.settings import PhotoSettings, Progress


@dataclass(frozen=True)
class Variant:
    """A row of the table.

    Args:
        name: of the row.
        space: ``pca`` or ``sphere``.
        recipe: of :data:`likeness.train.recipes.RECIPES`.
        taught: with the teacher.
        shown: with the terms of the geometry domain.
    """

    name: str
    space: str
    recipe: str
    taught: bool = False
    shown: bool = True

    @property
    def objective(self) -> ObjectiveSettings:
        """What is asked of the network."""
        settings = recipe(self.recipe).objective(self.taught)
        if settings.sir is None:
            return replace(settings, photometric=0.0)
        sir = settings.sir
        if not self.shown:
            sir = replace(sir, direction=0.0, within=0.0, between=0.0, mixed=0.0, shown=0.0)
        # Colours change none of what is compared here, and take time.
        return replace(settings, sir=sir, photometric=0.0)


VARIANTS = (
    Variant("PCA + Tikhonov", "pca", "tikhonov"),
    Variant("PCA + margin softmax", "pca", "margin"),
    Variant("PCA + SIR", "pca", "sir"),
    Variant("Sphere + margin softmax", "sphere", "margin"),
    Variant("Sphere + SIR", "sphere", "sir"),
    Variant("Sphere + SIR, taught", "sphere", "features", taught=True),
    Variant("Sphere + SIR, taught, without L_geom", "sphere", "features", taught=True, shown=False),
)


@dataclass(frozen=True, eq=False)
class Given:
    """What all runs share."""

    models: dict[str, FaceModel]
    sources: dict[str, Sources]
    labels: PseudoLabels
    frames: Frames
    photos: Photos
    photo_labels: PseudoLabels


def principal(model: FaceModel) -> tuple[FaceModel, np.ndarray]:
    """A sphere model's space in principal axes with Gaussian codes, and the rotation (K, K) that takes codes there:
    ``alpha = codes @ rotation``. Uniform codes have unit variance, and so have these."""
    flat = model.identity_basis.reshape(len(model.identity_basis), -1).astype(np.float64)
    rotation, spread, axes = np.linalg.svd(flat, full_matrices=False)
    basis = (spread[:, None] * axes).reshape(model.identity_basis.shape)
    found = replace(
        model,
        identity_basis=basis.astype(np.float32),
        identity_space=GaussianSpace.name,
        name=f"{model.name}-principal",
    )
    return found, rotation


def relabelled(folder: Path, out: Path, rotation: np.ndarray) -> Path:
    """The same rendered faces with the codes of the other space; pictures and other labels are links."""
    out.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.npy"):
        target = out / path.name
        if path.name == "identity.npy":
            np.save(target, (np.load(path) @ rotation).astype(np.float32))
        elif not target.exists():
            target.symlink_to(path.resolve())
    return out


def prepare(arguments: argparse.Namespace) -> Given:
    """Read everything once; photos are labelled once, so that all runs see the same crops."""
    sphere = FaceModel.load(arguments.model or asset("face_model.npz"))
    pca, rotation = principal(sphere)
    models = {"sphere": sphere, "pca": pca}
    folders = {"sphere": arguments.synthetic, "pca": arguments.out / "synthetic"}
    relabelled(arguments.synthetic, folders["pca"], rotation)
    photos = arguments.data / "photos"
    train, unlabelled = read_frames(photos / "video-train.tar"), read_photos(photos / "photo-train.tar")
    morphs = Morphs(arguments.morphs)
    sources = {
        name: Sources(model, train, SyntheticFaces(folders[name], model), unlabelled, morphs)
        for name, model in models.items()
    }
    network, _ = load_regressor(arguments.labeller / CHECKPOINT)
    head, held_out = LandmarkHead(sphere), read_photos(photos / "photo-val.tar")
    labels, photo_labels = label_photos(network, head, unlabelled), label_photos(network, head, held_out)
    return Given(models, sources, labels, read_frames(photos / "video-val.tar"), held_out, photo_labels)


def run(variant: Variant, seed: int, given: Given, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train and measure one network."""
    curves: list[dict[str, float]] = []

    def hear(progress: Progress) -> None:
        if progress.losses:
            curves.append({"seen": float(progress.seen), **progress.losses})

    settings = PhotoSettings(
        out=arguments.out / f"{variant.name}-{seed}".replace(" ", "_").replace(",", ""),
        schedule=Schedule(budget=arguments.budget, pseudo_at=()),
        objective=variant.objective,
        teacher=arguments.data / "teacher-mobilefacenet.onnx" if variant.taught else None,
        trunk=arguments.trunk / CHECKPOINT,
        seed=seed,
        precision=arguments.precision,
        threads=arguments.threads,
        workers=arguments.workers,
        validate_every=1 << 30,
    )
    shared = arguments.out / NOTES
    if variant.taught and shared.is_file():  # the teacher says the same to all
        settings.out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shared, settings.out / NOTES)
    trainer = Trainer(settings, given.sources[variant.space], report=hear)
    trainer.maker.pseudo = given.labels
    if variant.taught:
        trainer.notes.ask(given.sources[variant.space].photos, given.labels)  # type: ignore[arg-type]
        shutil.copyfile(settings.out / NOTES, shared)
    trainer.run()
    figures = measure(
        trainer.student.averaged, given, variant.space, trainer.held_out.synthetic, trainer.held_out.numbers
    )
    return {"variant": variant.name, "seed": seed, "settings": _plain(settings), "figures": figures, "curves": curves}


def _plain(settings: PhotoSettings) -> dict[str, Any]:
    """Settings as JSON takes them, without where things lie."""
    return {"budget": settings.schedule.budget, "objective": asdict(settings.objective)}


def measure(
    network: Regressor, given: Given, space: str, maker: SampleMaker | None, numbers: range
) -> dict[str, float]:
    """All columns for one network."""
    model = given.models[space]
    head, frames, labels = LandmarkHead(model), given.frames, given.photo_labels
    figures = {"nme": validate(network, head, frames)["nme_true"]}
    if maker is not None:
        figures.update(shape_errors(network, model, given.models["sphere"], maker, numbers, given.sources))
    photos = [given.photos.images[index] for index in labels.index.tolist()]
    sets = {
        "video": Samples(codes_at(network, frames.images, frames.landmarks), frames.person, np.array(frames.clip)),
        "photo": Samples(codes_at(network, photos, labels.landmarks), given.photos.person[labels.index]),
    }
    for name, samples in sets.items():
        domains = compare_domains(samples, model, bootstrap=0)
        measure_name = "angle" if space == "sphere" else "cosine"
        by_code, by_shape = domains.by_code[measure_name].auc.value, domains.by_geometry.auc.value
        assert by_code is not None
        assert by_shape is not None
        figures[f"auc_code_{name}"], figures[f"auc_mm_{name}"] = by_code, by_shape
        figures[f"gap_{name}"] = by_code - by_shape
        figures[f"sir_{name}"] = float(domains.by_geometry.sir.value or np.nan)
    shapes = sets["photo"].with_codes(model.geometry(sets["photo"].codes))
    figures["nmi_code"] = float(clustering(sets["photo"], "cosine").nmi)
    figures["nmi_mm"] = float(clustering(shapes, "euclidean").nmi)
    return figures


def shape_errors(
    network: Regressor,
    model: FaceModel,
    truth_model: FaceModel,
    maker: SampleMaker,
    numbers: range,
    sources: dict[str, Sources],
) -> dict[str, float]:
    """RMS distance in mm over the face of predicted to true neutral shapes of rendered people: in model axes, and
    after the similarity that fits best (how large a head is, no photograph says)."""
    synthetic = sources["sphere"].synthetic
    assert synthetic is not None
    pixels = np.stack([maker.synthetic(number, np.random.default_rng(number)).image for number in numbers])
    with torch.inference_mode():
        codes = np.concatenate([network(torch.from_numpy(part)).identity.numpy() for part in np.split(pixels, 8)])
    face = model.topology.regions["face"]
    found = model.vertices(codes)[:, face].astype(float)
    truth = truth_model.vertices(np.array(synthetic.identity[numbers.start : numbers.stop]))[:, face].astype(float)
    aligned = np.stack(
        [align(one[None], scale=True, reference=other).vertices[0] for one, other in zip(found, truth, strict=True)]
    )
    centred = truth - truth.mean(1, keepdims=True)
    aligned -= aligned.mean(1, keepdims=True)

    def rms(difference: np.ndarray) -> float:
        return float(np.sqrt((difference**2).sum(-1).mean(-1)).mean())

    return {"shape_mm": rms(found - truth), "shape_aligned_mm": rms(aligned - centred)}


COLUMNS = {
    "nme": ("NME %", 2),
    "shape_mm": ("shape mm", 2),
    "shape_aligned_mm": ("aligned", 2),
    "auc_code_video": ("AUC code, clips", 3),
    "auc_mm_video": ("AUC mm, clips", 3),
    "gap_video": ("gap", 3),
    "auc_code_photo": ("AUC code, photos", 3),
    "auc_mm_photo": ("AUC mm, photos", 3),
    "gap_photo": ("gap", 3),
    "sir_video": ("SIR, clips", 2),
    "nmi_code": ("NMI code", 2),
    "nmi_mm": ("NMI mm", 2),
}


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: a row per variant, mean ± standard deviation over seeds."""
    lines = ["| variant | " + " | ".join(title for title, _ in COLUMNS.values()) + " |"]
    lines.append("|" + "---|" * (len(COLUMNS) + 1))
    for variant in VARIANTS:
        runs = [one["figures"] for one in results if one["variant"] == variant.name]
        if runs:
            cells = []
            for name, (_, digits) in COLUMNS.items():
                values = np.array([one[name] for one in runs])
                cells.append(f"{values.mean():.{digits}f} ± {values.std():.{digits}f}")
            lines.append(f"| {variant.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Landmark loss against identity losses while training, PCA beside the sphere."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 4), constrained_layout=True)
    panels = {"landmark": "landmark loss, % of the crop", "sir_code": "identity by code, nats"}
    panels["sir_direction"] = "identity by shape, nats"
    for number, variant in enumerate(VARIANTS[:5]):
        runs = [one["curves"] for one in results if one["variant"] == variant.name]
        for axis, (name, title) in zip(axes, panels.items(), strict=True):
            axis.set(title=title, xlabel="samples seen")
            usable = [curve for curve in runs if curve and name in curve[-1]]
            if usable:
                seen = np.array([point["seen"] for point in usable[0]])
                values = np.mean([[point[name] for point in curve] for curve in usable], axis=0)
                width = max(1, len(values) // 30)
                smooth = np.convolve(values, np.ones(width) / width, "valid")
                style = "-" if variant.space == "sphere" else "--"
                axis.plot(seen[width - 1 :], smooth, style, label=variant.name, color=f"C{number}")
    for axis, top in zip(axes, (4.0, 16.0, 16.0), strict=True):  # what is above are the first steps
        axis.set_ylim(0.0, top)
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description="The claims table.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--synthetic", type=Path, required=True, help="rendered faces of the sphere model")
    parser.add_argument("--morphs", type=Path, required=True)
    parser.add_argument("--labeller", type=Path, required=True, help="a training whose network labels the photos")
    parser.add_argument("--model", type=Path, help="the sphere model; default: the embedded one")
    parser.add_argument("--out", type=Path, default=Path("work/claims"))
    parser.add_argument("--budget", type=int, default=60_000, help="samples that each network sees")
    parser.add_argument("--trunk", type=Path, required=True, help="a training whose features all variants share")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    given, results = prepare(arguments), []
    for seed in range(arguments.seeds):
        for variant in VARIANTS:
            kept = arguments.out / f"{variant.name}-{seed}.json".replace(" ", "_").replace(",", "")
            if not kept.is_file():
                kept.write_text(json.dumps(run(variant, seed, given, arguments)))
            results.append(json.loads(kept.read_text()))
            if any(results[-1]["settings"][name] != getattr(arguments, name) for name in ("budget",)):
                raise SystemExit(f"{kept} is of another budget: remove it or choose another --out")
            print(f"{variant.name}, seed {seed}: {json.dumps(results[-1]['figures'])}", flush=True)
    print(table(results))
    if arguments.plot is not None:
        plot(results, arguments.plot)
    if arguments.json is not None:
        slim = [{name: value for name, value in one.items() if name != "curves"} for one in results]
        arguments.json.write_text(json.dumps(slim, indent=1) + "\n")


if __name__ == "__main__":
    main()
