"""Stage 1: a Sphere Face Model from registered meshes (design, section 3.5; our derivation).

    likeness train scans DATA -o MODEL.npz

Per person one code on the sphere (an auto-decoder), a linear encoder for new meshes, and a basis, trained together
in the coordinates of :class:`likeness.train.scans.meshes.Reduction`. The start is PCA with its codes moved to the
nearest point of the sphere, alternated a few times with least squares for the basis; on the data of
``runs/build_people.py`` that ended nearer to PCA than the lift of K − 1 modes, whose last dimension explains nothing
and crowds all codes on one side (``ScanSettings.start`` chooses).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from likeness.errors import StrPath
from likeness.files import write_atomically
from likeness.model.codes import ShapeEncoder, nearest_on_sphere
from likeness.model.face_model import FaceModel
from likeness.model.identity import Lift, SphereSpace
from likeness.progress import Steps, unheard
from likeness.result_folder import Source
from likeness.train.checkpoint import read_state, refuse_another_run, taking_up
from likeness.train.loop import Loop
from likeness.train.losses.margin import margin_softmax, uniformity
from likeness.train.scans.meshes import Reduction, RegisteredMeshes
from likeness.train.settings import DRAWN, Progress, ScanSettings

CHECKPOINT = "scans.pt"
KIND = "likeness sphere face model"

PREPARING = "reducing meshes"
"""Directions of shape, coordinates, held-out ones, smoothness and symmetry, the start."""


@dataclass(frozen=True, eq=False)
class ScanModel:
    """What stage 1 makes.

    Args:
        model: the sphere model.
        encoder: for new meshes.
        figures: representation errors of held-out neutral meshes in mm (weighted RMS) and what else was measured.
        kept: whether the model represents held-out people no worse than PCA with K − 1 modes.
    """

    model: FaceModel
    encoder: ShapeEncoder
    figures: dict[str, float]
    kept: bool

    def save(self, path: StrPath, source: Source | None = None) -> None:
        """Write the model to ``NAME.npz``, and beside it ``NAME.encoder.npz`` and ``NAME.json`` with the figures.

        Args:
            path: of the model.
            source: what it was learned from, for the figures.

        Raises:
            FileError: they cannot be written.
        """
        target = Path(path)
        self.model.save(target)
        self.encoder.save(target.with_suffix(".encoder.npz"))
        record: dict[str, Any] = {**self.figures, "kept": self.kept}
        if source is not None:
            record["source"] = source.to_dict()
        write_atomically(target.with_suffix(".json"), (json.dumps(record, indent=1) + "\n").encode())


@dataclass(frozen=True, eq=False)
class _Data:
    """Meshes in reduced coordinates, without their nominal expressions where those are known."""

    coordinates: np.ndarray  # (N, P)
    person: np.ndarray  # (N,) 0 .. I-1
    neutral: np.ndarray  # (I, P) each person's mean neutral mesh

    @classmethod
    def of(cls, meshes: RegisteredMeshes, coordinates: np.ndarray, expressions: np.ndarray) -> _Data:
        people, person = np.unique(meshes.identity, return_inverse=True)
        at_rest = coordinates - np.nan_to_num(meshes.weights) @ expressions
        # A person who was never seen at rest is taken as the mean of what the nominal expressions leave.
        counts = meshes.at_rest.astype(np.float32) + 1e-3 * np.isfinite(meshes.weights).all(1)
        if (np.bincount(person, counts) == 0).any():
            raise ValueError("expected a neutral mesh, or one with known expression weights, of every person")
        neutral = np.zeros((len(people), coordinates.shape[1]), np.float64)
        np.add.at(neutral, person, at_rest * counts[:, None])
        neutral /= np.bincount(person, counts)[:, None]
        return cls(coordinates, person, neutral.astype(np.float32))


class _Net(nn.Module):
    """Basis (K, P) mm, codes of the people (I, K), encoder (P, K) of standardised coordinates."""

    spread: Tensor

    def __init__(self, basis: np.ndarray, codes: np.ndarray, data: _Data) -> None:
        super().__init__()
        spread = np.sqrt((data.coordinates**2).mean(0)) + 1e-3
        standard = data.coordinates / spread
        # Start: ridge regression from every mesh to its person's code; expressions are noise that it learns to
        # ignore.
        normal = standard.T @ standard / len(standard) + 1e-4 * np.eye(standard.shape[1])
        encoder = np.linalg.solve(normal, standard.T @ codes[data.person] / len(standard))
        self.basis, self.codes, self.encoder = (
            nn.Parameter(torch.tensor(value, dtype=torch.float32)) for value in (basis, codes, encoder)
        )
        self.offset = nn.Parameter(torch.zeros(basis.shape[0]))
        self.register_buffer("spread", torch.tensor(spread, dtype=torch.float32))
        self.space = SphereSpace(len(basis))

    def encode(self, coordinates: Tensor) -> Tensor:
        """Meshes (n, P) -> codes (n, K) on the sphere."""
        projected: Tensor = self.space.project((coordinates / self.spread) @ self.encoder + self.offset)
        return projected


class ScanTrainer:
    """One run of stage 1; :func:`train_scans` drives it."""

    def __init__(
        self,
        settings: ScanSettings,
        meshes: RegisteredMeshes,
        template: FaceModel,
        report: Callable[[Progress], None] | None = None,
        watch: Steps = unheard,
    ) -> None:
        self.settings, self.template = settings, template
        watch(PREPARING, 0, 5)
        seen = meshes.subset(~meshes.held_out)
        self.reduction = Reduction.of(seen, template, settings.coordinates, settings.seed)
        watch(PREPARING, 1, 5)
        expressions = self.reduction.offsets(template.expression_basis)
        self.data = _Data.of(seen, self.reduction.reduce(seen.vertices), expressions)
        watch(PREPARING, 2, 5)
        apart = meshes.subset(meshes.held_out & meshes.at_rest)
        self.held_out = self.reduction.reduce(apart.vertices)
        if settings.size > min(self.data.neutral.shape):
            raise ValueError(f"expected size up to {min(self.data.neutral.shape)}, got {settings.size}")
        self.middle = self.data.neutral.mean(0)
        self.data = replace(
            self.data, coordinates=self.data.coordinates - self.middle, neutral=self.data.neutral - self.middle
        )
        self.held_out = self.held_out - self.middle
        watch(PREPARING, 3, 5)
        self.roughness = torch.tensor(self.reduction.roughness(template.topology.triangles))
        mirror = template.topology.mirror
        self.mirroring = None if mirror is None else torch.tensor(self.reduction.mirroring(mirror))
        watch(PREPARING, 4, 5)
        basis, codes = start(self.data.neutral, settings)
        self.net = _Net(basis, codes, self.data)
        watch(PREPARING, 5, 5)
        self.first = self.net.basis.detach().clone()
        self.optimizer = torch.optim.Adam(self._groups())
        self.loop = Loop(
            settings.steps,
            min(settings.people, len(self.data.neutral)) * DRAWN,
            None if settings.out is None else settings.out / CHECKPOINT,
            self.state,
            self.optimizer,
            measure=self.figures,
            report=report,
            log_every=settings.log_every,
            measure_every=10 * settings.log_every,
            save_seconds=settings.save_seconds,
        )
        self._rows = [np.flatnonzero(self.data.person == person) for person in range(len(self.data.neutral))]
        if settings.resume and settings.out is not None and (settings.out / CHECKPOINT).is_file():
            self._restore(settings.out / CHECKPOINT)

    def _groups(self) -> list[dict[str, Any]]:
        rate = self.settings.learning_rate
        own = {"params": [self.net.codes], "lr": rate * self.settings.code_rate}
        return [{"params": [self.net.basis, self.net.encoder, self.net.offset], "lr": rate}, own]

    def run(self) -> ScanModel:
        """Train to the end of the budget."""
        with self.loop.opened():
            self.loop.run((self._batch(step) for step in range(self.loop.step, self.loop.steps)), self._learn)
            self.loop.measure()
            self.loop.save()
        return self.result()

    def _learn(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        settings = self.settings
        fade = 0.5 * (1 + math.cos(math.pi * self.loop.step / settings.steps))
        for group, own in zip(self.optimizer.param_groups, self._groups(), strict=True):
            group["lr"] = own["lr"] * fade
        terms = self.losses(*batch)
        total = sum((getattr(settings.weights, name) * value for name, value in terms.items()), torch.zeros(()))
        self.loop.stop_if_broken(total, terms)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.optimizer.step()
        return {"total": total, **terms}

    def losses(self, people: Tensor, rows: Tensor) -> dict[str, Tensor]:
        """The unweighted terms of some people (p,) and meshes (n,), by the names of :class:`ScanLossWeights`."""
        net, data = self.net, self.data
        codes = net.space.project(net.codes)
        neutral = torch.from_numpy(data.neutral)
        person = torch.from_numpy(data.person)[rows]
        encoded = net.encode(torch.from_numpy(data.coordinates)[rows])
        change = net.basis - self.first
        gram = net.basis @ net.basis.T
        norms = gram.diagonal().clamp_min(1e-12).sqrt()
        correlation = gram / (norms[:, None] * norms)
        terms = {
            "rec": _rms(neutral[people] - codes[people] @ net.basis),
            "encoded": _rms(neutral[person] - encoded @ net.basis),
            "identity": margin_softmax(encoded, codes, person, self.settings.scale, self.settings.margin),
            "uniform": 0.5 * (uniformity(codes[people]) + uniformity(encoded[::DRAWN])),
            "smooth": ((change @ self.roughness) * change).sum() / len(change),
            "decorrelate": (correlation - torch.eye(len(gram))).square().mean(),
        }
        if self.mirroring is not None:
            terms["mirror"] = unspanned(net.basis @ self.mirroring, net.basis)
        return terms

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        """People (p,) and meshes (p DRAWN,) of a step: a function of seed and step alone, so that runs resume."""
        rng = np.random.default_rng([self.settings.seed, step])
        count = min(self.settings.people, len(self._rows))
        people = rng.choice(len(self._rows), count, replace=False)
        rows = np.concatenate([rng.choice(self._rows[person], DRAWN) for person in people])
        return torch.from_numpy(people), torch.from_numpy(rows)

    def figures(self) -> dict[str, float]:
        """Representation errors (weighted RMS, mm) of held-out neutral meshes, and how uniform their codes are."""
        if not len(self.held_out):
            return {}
        size, target = self.settings.size, self.held_out
        directions = np.linalg.svd(self.data.neutral, full_matrices=False)[2]
        basis = self.net.basis.detach().double().numpy()

        def error(shapes: np.ndarray) -> float:
            return float(np.sqrt(((target - shapes) ** 2).sum(1)).mean())

        def pca(modes: int) -> float:
            kept = directions[:modes]
            return error(target @ kept.T @ kept)

        codes = nearest_on_sphere(basis @ basis.T, target @ basis.T, self.net.space.radius)
        with torch.no_grad():
            encoded = self.net.encode(torch.from_numpy(target)).double()
        return {
            "sphere_mm": error(codes @ basis),
            "encoded_mm": error(encoded.numpy() @ basis),
            "pca_mm": pca(size),
            "pca_less_one_mm": pca(size - 1),
            "uniformity": float(uniformity(torch.from_numpy(codes))),
            "uniformity_encoded": float(uniformity(encoded)),
        }

    def result(self) -> ScanModel:
        """The model as it is now."""
        net = self.net
        figures = self.figures()
        kept = not figures or figures["sphere_mm"] <= figures["pca_less_one_mm"]
        center = self.reduction.center + self.reduction.expand(self.middle)
        model = replace(
            self.template,
            mean=center.astype(np.float32),
            identity_basis=self.reduction.expand(net.basis.detach().numpy()),
            identity_space=SphereSpace.name,
            name=f"likeness-sphere{self.settings.size}-1",
        )
        matrix = (net.encoder / net.spread[:, None]).detach().numpy().T @ self.reduction.directions
        shaped = (matrix.reshape(len(matrix), -1, 3) * self.reduction.root).astype(np.float32)
        encoder = ShapeEncoder(center.astype(np.float32), shaped, net.offset.detach().numpy())
        return ScanModel(model, encoder, figures, kept)

    def state(self) -> dict[str, Any]:
        """All that going on takes."""
        return {
            "kind": KIND,
            "settings": self.settings.decisive(),
            "step": self.loop.step,
            "net": self.net.state_dict(),
            "first": self.first,
            "optimizer": self.optimizer.state_dict(),
        }

    def _restore(self, path: Path) -> None:
        what = "a checkpoint of stage 1"
        state = read_state(path, KIND, what)
        with taking_up(path, what):
            state["people"] = len(state["net"]["codes"])
            refuse_another_run(path, state, self.settings.decisive(), {"people": len(self.net.codes)})
            self.net.load_state_dict(state["net"])
            self.first = state["first"]
            self.optimizer.load_state_dict(state["optimizer"])
            self.loop.step = int(state["step"])


def start(neutral: np.ndarray, settings: ScanSettings) -> tuple[np.ndarray, np.ndarray]:
    """Basis (K, P) and codes (I, K) on the sphere to start from, of centred neutral meshes (I, P)."""
    size, space = settings.size, SphereSpace(settings.size)
    _, values, directions = np.linalg.svd(neutral, full_matrices=False)
    basis = values[:size, None] / np.sqrt(len(neutral)) * directions[:size]
    if settings.start == "lift":
        lift = Lift(size - 1)
        gaussian = neutral @ directions[: size - 1].T / (values[: size - 1] / np.sqrt(len(neutral)))
        return np.asarray(lift.basis(basis[:-1, :, None])[..., 0]), lift.codes(gaussian)
    codes = nearest_on_sphere(basis @ basis.T, neutral @ basis.T, space.radius)
    for _ in range(settings.alternations):
        basis = np.linalg.solve(codes.T @ codes + 1e-6 * np.eye(size), codes.T @ neutral)
        codes = nearest_on_sphere(basis @ basis.T, neutral @ basis.T, space.radius)
    return basis, codes


def unspanned(moved: Tensor, basis: Tensor) -> Tensor:
    """Share of the squared length of ``moved`` (K, P) that lies outside the span of ``basis`` (K, P): 0 where a
    basis's mirror image spans the same shapes, so that no face is told from its mirror image by what can be shown."""
    scale = basis.square().sum(1, keepdim=True).clamp_min(1e-12).sqrt()
    rows, image = basis / scale, moved / scale
    gram = rows @ rows.T + 1e-5 * torch.eye(len(rows), dtype=rows.dtype)
    inside = torch.linalg.solve(gram, rows @ image.T).T @ rows
    return (image - inside).square().sum() / image.square().sum()


def _rms(differences: Tensor) -> Tensor:
    """Mean length of differences (n, P): mean RMS vertex distance, mm."""
    return (differences.square().sum(1) + 1e-8).sqrt().mean()


def train_scans(
    settings: ScanSettings,
    meshes: RegisteredMeshes,
    template: FaceModel,
    report: Callable[[Progress], None] | None = None,
    watch: Steps = unheard,
) -> ScanModel:
    """Learn a sphere model and an encoder from registered meshes.

    Args:
        settings: see :class:`ScanSettings`.
        meshes: of the template's topology; people marked as held out are only measured on.
        template: gives topology, expressions and albedo.
        report: hears of the steps now and then.
        watch: hears of what is prepared before.

    Raises:
        ValueError: too few people for K, or people without a neutral or known expression.
        FileError: the checkpoint to go on from is damaged or of other settings.
    """
    torch.manual_seed(settings.seed)
    return ScanTrainer(settings, meshes, template, report, watch).run()
