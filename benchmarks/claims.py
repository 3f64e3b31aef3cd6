"""The papers' question, answered: do recognisable parameters make recognisable shapes, are these the person's own,
and what does it take?

    python benchmarks/claims.py DATA --run RUN --synthetic FOLDER --labels LABELS.npz ... [--plot FILE] [--json FILE]

All variants read from the features of one frozen network (``--run``, a training with ``--recipe points``: few people
cannot teach features that tell others apart, and the papers too start from a recogniser), see the same crops, and
have the same heads; for three seeds, and measured on people that none of them saw. ``PCA`` is the sphere model's own
space in principal axes with Gaussian codes: the same shapes and spread, so what differs is the sphere alone. What the
network sees is looked at once and kept in ``--out``, as is every finished run; a killed table goes on where it was.

Faithful, all read from the identity codes alone: the share of the variation between people's hand-placed points
(portraits) that neutral heads explain from the front, and the slope of truth on prediction; rendered people that were
held out, RMS mm over the face after a similarity, the spread kept and the slope; landmarks of other clips of the
people (video-val) explained by the shape, pose and expression fitted anew, over the mean face's error. Landmark NME
(video-val, annotated crops) is of the whole head. Recognisable: AUC by code and by shape across clips (video-val) and
photos (photo-val) and their difference, the transfer gap; SIR metric by shape; NMI of k-means clusters by code and by
shape (photo-val). Mean and standard deviation over seeds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from claims_looks import Judged, Looks, look
from claims_plot import plot
from torch import Tensor

from likeness.assets import asset
from likeness.datasets.hand_placed import IBUG_POINTS, Portraits, read_portraits
from likeness.evaluate.fidelity.refit import refit
from likeness.metrics.fidelity_cross import cross_photo_pairs
from likeness.metrics.fidelity_points import front_points, hand_placed_fidelity
from likeness.metrics.recognisability import compare_domains
from likeness.metrics.records import Samples
from likeness.metrics.shape_space import clustering
from likeness.model.face_model import FaceModel
from likeness.model.identity import GaussianSpace
from likeness.model.surface_points import default_point_map
from likeness.train.checkpoint import MovingAverage
from likeness.train.losses.objective import Objective
from likeness.train.losses.reconstruction import LandmarkHead, Targets
from likeness.train.optimiser import descend, parameter_groups
from likeness.train.photos.fidelity_curves import rendered_figures
from likeness.train.photos.inference import landmark_error
from likeness.train.photos.network import Answer, NetSettings, Prediction, Regressor
from likeness.train.recipe_settings import Mix, ObjectiveSettings
from likeness.train.recipes import recipe
from likeness.train.schedule import Schedule

MIX = Mix(frames=16, people=10, each=4, synthetic=26, morphs=0, negatives=0)
HEARD, HELD = 5, 40
"""Losses are kept every so many steps, and what held-out people say every so many."""

NO_GEOMETRY = dict.fromkeys(("direction", "within", "between", "mixed", "shown"), 0.0)
"""No term of SIR that looks at shapes."""

NO_SCATTER = dict.fromkeys(("within", "between", "mixed", "prior"), 0.0)
"""No term of SIR that asks for how people spread."""

PARTNERS = 2
"""Photos of other clips whose shape is tried on each photo's landmarks."""


@dataclass(frozen=True)
class Variant:
    """A row of the table.

    Args:
        name: of the row.
        space: ``pca`` or ``sphere``.
        recipe: of :data:`likeness.train.recipes.RECIPES`.
        taught: with the teacher.
        terms: of SIR (:class:`likeness.train.recipe_settings.SirWeights`) that count otherwise than in the recipe.
        mix: samples of a batch by kind.
    """

    name: str
    space: str
    recipe: str
    taught: bool = False
    terms: Mapping[str, float] = field(default_factory=dict)
    mix: Mix = MIX

    @property
    def objective(self) -> ObjectiveSettings:
        """What is asked of the network."""
        settings = recipe(self.recipe).objective(self.taught)
        # Colours change none of what is compared here.
        settings = replace(settings, photometric=0.0)
        if settings.sir is None:
            return settings
        return replace(settings, sir=replace(settings.sir, **self.terms))

    @property
    def file(self) -> str:
        """Part of a file's name."""
        return self.name.replace(" ", "_").replace(",", "")


VARIANTS = (
    Variant("PCA + Tikhonov", "pca", "tikhonov"),
    Variant("PCA + margin softmax", "pca", "margin"),
    Variant("PCA + SIR", "pca", "sir"),
    Variant("Sphere + Tikhonov", "sphere", "tikhonov"),
    Variant("Sphere + margin softmax", "sphere", "margin"),
    Variant("Sphere + margin softmax of codes and shapes", "sphere", "sir", terms=NO_SCATTER),
    Variant(
        "Sphere + margin softmax of codes and shapes, a tenth",
        "sphere",
        "sir",
        terms={**NO_SCATTER, "code": 0.03, "direction": 0.03},
    ),
    Variant("Sphere + SIR", "sphere", "sir"),
    Variant("Sphere + SIR, taught", "sphere", "features", taught=True),
    Variant("Sphere + SIR, taught, without L_geom", "sphere", "features", taught=True, terms=NO_GEOMETRY),
    Variant("PCA + Tikhonov, no rendered faces", "pca", "tikhonov", mix=replace(MIX, synthetic=0)),
    Variant("PCA + Tikhonov, rendered faces alone", "pca", "tikhonov", mix=replace(MIX, frames=0, people=0)),
)
PLOTTED = (
    "PCA + Tikhonov",
    "PCA + margin softmax",
    "PCA + SIR",
    "Sphere + margin softmax",
    "Sphere + margin softmax of codes and shapes, a tenth",
    "Sphere + SIR",
)


@dataclass(frozen=True, eq=False)
class Given:
    """What all runs share.

    Args:
        models: by space.
        rotation: (K, K) sphere codes @ rotation are PCA codes.
        looks: by space.
        judged: whom nobody learns from.
        portraits: their hand-placed points.
        pairs: (M,) photo and (M,) another one of the person, of another clip; rows of the judged frames.
        mean_face: (M,) what the mean face leaves of each pair's landmarks.
    """

    models: dict[str, FaceModel]
    rotation: np.ndarray
    looks: dict[str, Looks]
    judged: Judged
    portraits: Portraits
    pairs: tuple[np.ndarray, np.ndarray]
    mean_face: np.ndarray


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


def prepare(arguments: argparse.Namespace) -> Given:
    """Look at everything once, so that all runs see the same."""
    sphere = FaceModel.load(arguments.model or asset("face_model.npz"))
    pca, rotation = principal(sphere)
    looks, judged = look(
        arguments.run,
        arguments.data,
        arguments.labels,
        arguments.synthetic,
        sphere,
        default_point_map(),
        arguments.out,
    )
    target, own, _ = cross_photo_pairs(judged.person, judged.clip, PARTNERS)
    mean_face = refit(sphere, np.zeros((len(target), len(sphere.identity_basis))), judged.landmarks[target]).errors
    return Given(
        {"sphere": sphere, "pca": pca},
        rotation,
        {"sphere": looks, "pca": looks.rotated(rotation)},
        judged,
        read_portraits(arguments.data / "portraits"),
        (target, own),
        mean_face,
    )


def drawn(looks: Looks, mix: Mix, steps: int, seed: int) -> Iterator[Tensor]:
    """The rows of each step's crops: frames and rendered faces in passes, several pictures of each of some people."""
    rng = np.random.default_rng(seed)
    person = looks.targets.person.numpy()
    of = [np.flatnonzero(person == who) for who in range(looks.people)]
    several = [rows for rows in of if len(rows) >= mix.each]
    kinds = [np.flatnonzero(looks.kind == kind) for kind in (0, 2)]
    passes = [_passes(rows, rng) for rows in kinds]
    for _ in range(steps):
        rows = [
            next(one) for one, count in zip(passes, (mix.frames, mix.synthetic), strict=True) for _ in range(count)
        ]
        for who in rng.choice(len(several), mix.people, replace=False):
            rows += rng.choice(several[who], mix.each, replace=False).tolist()
        yield torch.tensor(rows)


def _passes(rows: np.ndarray, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(rows).tolist()


def learn(variant: Variant, seed: int, given: Given, budget: int) -> tuple[Regressor, list[dict[str, float]]]:
    """Heads of a variant, and its losses and held-out figures on the way."""
    torch.manual_seed(seed)
    model, looks = given.models[variant.space], given.looks[variant.space]
    schedule, steps = Schedule(budget=budget), budget // variant.mix.total
    network = Regressor(NetSettings.for_model(model))
    objective = Objective(model, variant.objective, looks.people)
    groups = parameter_groups(network.heads.parameters(), schedule)
    if objective.sir is not None:
        groups.append({"params": list(objective.sir.parameters()), "weight_decay": 0.0, "relative": 1.0})
    optimizer = torch.optim.AdamW(groups, lr=schedule.learning_rate)
    average, curves = MovingAverage(network.heads, schedule.ema), list[dict[str, float]]()
    kept = Regressor(network.settings)
    for step, rows in enumerate(drawn(looks, variant.mix, steps, seed)):
        features, targets = looks.features[rows], Targets(*(value[rows] for value in looks.targets))
        total, terms = objective(Answer(network.predict(features), None, None), features, targets)
        total.backward()
        descend(optimizer, schedule, step, steps)
        average.update(network.heads, step)
        if step % HEARD == 0:
            curves.append({"seen": step * variant.mix.total, **{name: value.item() for name, value in terms.items()}})
        if step % HELD == 0 or step == steps - 1:
            kept.heads.load_state_dict(average.module.state_dict())
            curves[-1] |= told_apart(kept, given, variant.space)
    return kept.eval(), curves


def predicted(network: Regressor, features: np.ndarray) -> Prediction:
    """What features (n, H) mean."""
    with torch.inference_mode():
        found: Prediction = network.predict(torch.from_numpy(features))
        return found


def on_sphere(network: Regressor, features: np.ndarray, given: Given, space: str) -> np.ndarray:
    """Identity codes (n, K) in the sphere model's coordinates: the same shapes; PCA codes keep their lengths."""
    codes = predicted(network, features).identity.numpy()
    return codes if space == "sphere" else np.asarray(codes @ given.rotation.T, np.float32)


def located(network: Regressor, given: Given, space: str) -> np.ndarray:
    """Landmarks (n, 68, 2), photo pixels, of the judged frames."""
    judged = given.judged
    found = LandmarkHead(given.models[space])(predicted(network, judged.frames)).double().numpy()
    return np.stack([crop.to_photo(points) for crop, points in zip(judged.frame_crops, found, strict=True)])


def told_apart(network: Regressor, given: Given, space: str) -> dict[str, float]:
    """``held_nme`` (%) and ``held_auc``, by shape across clips: how both go while training."""
    judged, model = given.judged, given.models[space]
    nme = landmark_error(located(network, given, space), judged.landmarks).mean()
    samples = Samples(predicted(network, judged.frames).identity.numpy(), judged.person, judged.clip)
    auc = compare_domains(samples, model, bootstrap=0).by_geometry.auc.value
    assert auc is not None
    return {"held_nme": 100 * float(nme), "held_auc": auc}


def measure(network: Regressor, given: Given, space: str) -> dict[str, float]:
    """All columns for one network."""
    figures = {"nme": told_apart(network, given, space)["held_nme"], **faithful(network, given, space)}
    judged, model = given.judged, given.models[space]
    sets = {
        "video": Samples(predicted(network, judged.frames).identity.numpy(), judged.person, judged.clip),
        "photo": Samples(predicted(network, judged.photos).identity.numpy(), judged.photo_person),
    }
    for name, samples in sets.items():
        domains = compare_domains(samples, model, bootstrap=0)
        by_code = domains.by_code["angle" if space == "sphere" else "cosine"].auc.value
        by_shape = domains.by_geometry.auc.value
        assert by_code is not None
        assert by_shape is not None
        figures[f"auc_code_{name}"], figures[f"auc_mm_{name}"] = by_code, by_shape
        figures[f"gap_{name}"] = by_code - by_shape
        figures[f"sir_{name}"] = float(domains.by_geometry.sir.value or np.nan)
    shapes = sets["photo"].with_codes(model.geometry(sets["photo"].codes))
    figures["nmi_code"] = float(clustering(sets["photo"], "cosine").nmi)
    figures["nmi_mm"] = float(clustering(shapes, "euclidean").nmi)
    return figures


def faithful(network: Regressor, given: Given, space: str) -> dict[str, float]:
    """The columns that say whether a shape is the person's own."""
    judged, model = given.judged, given.models["sphere"]
    found, columns = on_sphere(network, judged.portraits, given, space), list(IBUG_POINTS)
    front = hand_placed_fidelity(front_points(model, found)[:, columns], given.portraits.points, in_photo=False)
    figures = {"front": front.explained, "front_slope": float(front.slope or np.nan)}
    figures |= rendered_figures(on_sphere(network, judged.rendered, given, space), judged.identity, model)
    codes, (target, own) = on_sphere(network, judged.frames, given, space), given.pairs
    left = refit(model, codes[own], judged.landmarks[target]).errors
    return {**figures, "cross": float(left.mean() / given.mean_face.mean())}


TABLES: tuple[dict[str, tuple[str, int]], ...] = (
    {
        "nme": ("NME %", 2),
        "front": ("hand-placed points, front", 2),
        "front_slope": ("slope", 2),
        "rendered_mm": ("rendered, mm", 2),
        "rendered_ratio": ("over the mean face's", 2),
        "rendered_spread": ("spread", 2),
        "rendered_slope": ("slope", 2),
        "cross": ("cross-photo over the mean face's", 3),
    },
    {
        "auc_code_video": ("AUC code, clips", 3),
        "auc_mm_video": ("AUC mm, clips", 3),
        "gap_video": ("gap", 3),
        "auc_code_photo": ("AUC code, photos", 3),
        "auc_mm_photo": ("AUC mm, photos", 3),
        "gap_photo": ("gap", 3),
        "sir_video": ("SIR, clips", 2),
        "nmi_code": ("NMI code", 2),
        "nmi_mm": ("NMI mm", 2),
    },
)


def table(results: list[dict[str, Any]], columns: dict[str, tuple[str, int]]) -> str:
    """Markdown: a row per variant, mean ± standard deviation over seeds."""
    lines = ["| variant | " + " | ".join(title for title, _ in columns.values()) + " |"]
    lines.append("|" + "---|" * (len(columns) + 1))
    for variant in VARIANTS:
        runs = [one["figures"] for one in results if one["variant"] == variant.name]
        if runs:
            cells = []
            for name, (_, digits) in columns.items():
                values = np.array([one[name] for one in runs])
                cells.append(f"{values.mean():.{digits}f} ± {values.std():.{digits}f}")
            lines.append(f"| {variant.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="The claims table.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--run", type=Path, required=True, help="a training whose features all variants share")
    parser.add_argument("--synthetic", type=Path, required=True, help="rendered faces of the sphere model")
    parser.add_argument("--labels", type=Path, nargs="+", required=True, help="points in all five archives")
    parser.add_argument("--model", type=Path, help="the sphere model; default: the embedded one")
    parser.add_argument("--out", type=Path, default=Path("work/claims"))
    parser.add_argument("--budget", type=int, default=40_000, help="samples that each variant sees")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=[one.name for one in VARIANTS], help="variants, by name")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    given, results = prepare(arguments), []
    for seed in arguments.seeds:
        for variant in VARIANTS:
            if variant.name not in arguments.only:
                continue
            kept = arguments.out / f"{variant.file}-{seed}-{arguments.budget}.json"
            if not kept.is_file():
                network, curves = learn(variant, seed, given, arguments.budget)
                figures = measure(network, given, variant.space)
                one = {"variant": variant.name, "seed": seed, "figures": figures, "curves": curves}
                kept.write_text(json.dumps(one))
            results.append(json.loads(kept.read_text()))
            print(f"{variant.name}, seed {seed}: {json.dumps(results[-1]['figures'])}", flush=True)
    for columns in TABLES:
        print("\n" + table(results, columns))
    if arguments.plot is not None:
        styles = {one.name: "-" if one.space == "sphere" else "--" for one in VARIANTS if one.name in PLOTTED}
        plot(results, styles, arguments.plot)
    if arguments.json is not None:
        slim = [{name: value for name, value in one.items() if name != "curves"} for one in results]
        arguments.json.write_text(json.dumps(slim, indent=1) + "\n")


if __name__ == "__main__":
    main()
