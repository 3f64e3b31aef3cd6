"""Damped Gauss-Newton with a matrix that is kept as long as it serves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from likeness.fit.factors import factorised
from likeness.fit.photo_terms import Detail, PhotoState
from likeness.fit.points import COARSE_MODES
from likeness.fit.problem import Cost, Problem, State, recounted

SLIDES = 5
"""So often contour points may choose another candidate; then they stay, so that the cost has one minimum."""

STEPS_PER_MATRIX = 6.0
"""A new matrix costs about so many steps with the old one."""

FAR = 50.0
"""Nats; after a step that gained more, the matrix is of another pose and not worth another step."""

RELAX_RATE = 4.0
"""By how much robust losses' scales narrow at every step, until they are the user's."""


@dataclass(frozen=True)
class Stopping:
    """When a fit is done.

    Args:
        decrease: nats that another step would gain, at most. The step's length, in posterior standard deviations of
            all coefficients together, is √(2 · decrease): 0.14, where the posterior itself is about √190 wide.
        steps: at most.
    """

    decrease: float = 1e-2
    steps: int = 60


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where the steps ended.

    Args:
        cost: at the end, with the state.
        steps: how many were taken.
        matrices: how often the Gauss-Newton matrix was computed.
        converged: whether another step would have gained less than asked for.
    """

    cost: Cost
    steps: int
    matrices: int
    converged: bool


def minimise(problem: Problem, start: State, stopping: Stopping) -> Minimum:
    """Go from a state to the nearest minimum of the problem's cost; the first step looks at half of the modes.

    Raises:
        ValueError: the start has points behind the camera.
    """
    relaxed = 1.0
    cost = problem.cost(start)
    if cost is None:
        raise ValueError("expected a start with the head in front of the camera")
    relaxed = _needed_relaxation(problem, cost)
    if relaxed > 1:
        cost = _known(problem.cost(start, relaxed=relaxed))
    factor, damping, previous, fresh = None, 0.0, math.inf, False
    steps, matrices, slides = 0, 0, 0
    while steps < stopping.steps:
        if factor is None:
            coarse = not matrices and len(cost.gradient) > COARSE_MODES
            detail = Detail.COARSE if coarse else Detail.SINGLE
            factor, fresh, matrices = factorised(problem, cost, damping, detail), True, matrices + 1
            if detail is Detail.SINGLE:
                cost = recounted(cost, factor.determined(cost))
        step = factor.step(cost)
        if step.decrease < stopping.decrease and relaxed == 1.0 and factor.first == len(cost.gradient):
            return Minimum(cost, steps, matrices, True)
        if not fresh and _slow(step.decrease, previous, stopping.decrease):
            factor = None
            previous = math.inf
            continue
        steps += 1
        rows = [tuple(points.rows for points in photo.seen) for photo in cost.photos]
        trial = problem.cost(problem.moved(cost.state, step), cost.determined, rows, relaxed)
        if trial is None or cost.total - trial.total < 0.05 * step.decrease:
            if trial is not None and abs(cost.total - trial.total) < 1e-9 * max(1.0, abs(cost.total)) and fresh:
                return Minimum(cost, steps, matrices, True)  # as low as rounding lets it go
            damping = max(10 * damping, 1e-2) if fresh else damping
            factor = None
            continue
        previous, fresh = step.decrease, False
        cost = trial
        if factor.first < len(cost.gradient):
            factor, previous = None, math.inf
        if damping:
            damping, factor = (damping / 10 if damping > 1e-3 else 0.0), None
        if relaxed > 1 or slides < SLIDES:
            relaxed, slides = max(1.0, relaxed / RELAX_RATE), slides + 1
            settled = _settled(problem, cost, relaxed, slides < SLIDES)
            previous = previous if settled is cost else math.inf
            cost = settled
    return Minimum(cost, steps, matrices, False)


def _slow(decrease: float, previous: float, wanted: float) -> bool:
    """Whether going on with an old matrix would take more steps than a new one is worth."""
    if not math.isfinite(previous):
        return False
    if decrease >= previous:
        return True
    return math.log(wanted / decrease) / math.log(decrease / previous) > STEPS_PER_MATRIX


def _needed_relaxation(problem: Problem, cost: Cost) -> float:
    """How much wider robust losses must be for half of the points to be inside them at the start."""
    factor = 1.0
    for terms, photo in zip(problem.photos, cost.photos, strict=True):
        for observed, points in zip(terms.observations, photo.seen, strict=True):
            if observed.loss.kind != "none":
                seen = points.distance[observed.root[:, 0, 0] > 0]
                factor = max(factor, math.sqrt(float(np.median(seen))) / observed.loss.scale)
    return factor


def _settled(problem: Problem, cost: Cost, relaxed: float, slide: bool) -> Cost:
    """The cost with contour points where they are seen now and with the present scales of robust losses."""
    states: tuple[PhotoState, ...] = cost.state.photos
    old = [tuple(points.rows for points in photo.seen) for photo in cost.photos]
    new = old
    if slide:
        triples = zip(problem.photos, cost.photos, states, strict=True)
        new = [terms.rows(photo, state) for terms, photo, state in triples]
    same = all(
        (a is None and b is None) or np.array_equal(a, b)  # type: ignore[arg-type]
        for before, after in zip(old, new, strict=True)
        for a, b in zip(before, after, strict=True)
    )
    robust = any(o.loss.kind != "none" for terms in problem.photos for o in terms.observations)
    if same and not robust:
        return cost
    return _known(problem.cost(cost.state, cost.determined, new, relaxed))


def _known(cost: Cost | None) -> Cost:
    """Costs of states whose points are known to be in front of the camera."""
    assert cost is not None
    return cost
