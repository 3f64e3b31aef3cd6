"""The recipes of `likeness train photos`: what each of the methods that papers compare asks for, as presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from likeness.train.recipe_settings import (
    AugmentSettings,
    BasisSettings,
    DenseWeights,
    LossWeights,
    Mix,
    ObjectiveSettings,
    SirWeights,
)

RecipeName = Literal["sir", "sfm", "features", "places", "heads", "points", "margin", "tikhonov"]

_TAUGHT = MappingProxyType({"relation": 6.0, "told": 4.0})  # what a teacher adds to SIR
_TAUGHT_FEATURES = MappingProxyType({"relation": 20.0, "told": 4.0})
_PHOTOMETRIC = 3.0  # a quarter of the gradient that the landmarks have on the features, about


@dataclass(frozen=True)
class Recipe:
    """What a training with one command-line word asks for.

    Args:
        about: one line for the command's help.
        weights: of landmarks, labels and priors.
        sir: of the identity terms; None: none, the Tikhonov prior ``weights.identity_prior`` is all there is.
        taught: what a teacher, where there is one, sets in ``sir``.
        photometric: weight of the colours.
        basis: how freely the identity basis may change; None: it is fixed.
        dense: weights of surface points that a decoder places; None: there is none.
        mix: samples of a batch by kind.
        augment: how far crops and colours stray.
        frozen: layers of the trunk, from the picture on, that stay as they are.
        trunk_rate: learning rate of its other layers over that of all else.
        remain: the share of the weights of ``--start`` that remains where landmarks were learned after: of what was
            won for landmarks a sixth goes, of what was lost for recognition a half comes back (val).
        reliability: how much the scatter of one person's pictures counts where codes are drawn towards what can be
            relied on: more than 1, as pictures of people that a network has not seen scatter more (1.29 times the
            mm², val) than of those whom it has; of what was tried on val, 1 to 4, the least that lifts the SIR metric
            over 1.4. 0: codes stay as they are.
    """

    about: str
    weights: LossWeights = field(default_factory=lambda: LossWeights(identity_prior=0.0))
    sir: SirWeights | None = field(default_factory=SirWeights)
    taught: Mapping[str, float] = field(default_factory=lambda: _TAUGHT)
    photometric: float = _PHOTOMETRIC
    basis: BasisSettings | None = None
    dense: DenseWeights | None = None
    mix: Mix = field(default_factory=Mix)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    frozen: int = 0
    trunk_rate: float = 1.0
    remain: float = 0.0
    reliability: float = 0.0

    def objective(self, taught: bool = False) -> ObjectiveSettings:
        """What is asked of the network.

        Args:
            taught: there is a teacher, whose opinion of who resembles whom is followed too.
        """
        sir = self.sir
        if sir is not None and taught:
            sir = replace(sir, **self.taught)
        return ObjectiveSettings(self.weights, sir, self.photometric, self.basis, self.dense)

    def described(self) -> list[str]:
        """``name value`` of every number that it sets, a line for each part."""
        lines = []
        for part in fields(self):
            value = getattr(self, part.name)
            if part.name == "about":
                continue
            if is_dataclass(value):
                value = {one.name: getattr(value, one.name) for one in fields(value)}
            lines.append(f"{part.name}: {_shown(value)}")
        return lines


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {number:g}" for name, number in value.items()) or "nothing"
    return "none" if value is None else f"{value:g}"


def _landmarks(times: float) -> LossWeights:
    """Landmarks count so many times as much as usual."""
    return LossWeights(identity_prior=0.0, landmark=times * LossWeights.landmark)


_NO_GEOMETRY = SirWeights(direction=0.0, within=0.0, between=0.0, mixed=0.0, prior=0.0, relation=0.0, told=0.0)

# Of rendered faces what they show; of photographs where points lie, and what a teacher says of them.
_RENDERED = LossWeights(
    landmark=0.0,
    points=0.0,
    geometry=0.25,
    code=0.0,
    expression=0.4,
    rotation=2.0,
    distance=1.0,
    shift=0.2,
    albedo=0.15,
    light=1.0,
    score=0.5,
    identity_prior=0.0,
    expression_prior=0.0,
    albedo_prior=0.0,
)

# Where the features are what is wanted, the people of the training count less, and a teacher more.
_FEATURES = SirWeights(code=0.1, direction=0.1)

RECIPES: Mapping[RecipeName, Recipe] = MappingProxyType(
    {
        "sir": Recipe("recognisable shapes in the place of the Tikhonov prior, basis fixed", reliability=3.0),
        "sfm": Recipe(
            "the same, with the basis learned along (Sphere Face Model, stage 2)",
            basis=BasisSettings(),
            reliability=3.0,
        ),
        "features": Recipe(
            "for a --trunk whose features others read: SIR that follows a teacher more than the people it knows",
            sir=_FEATURES,
            taught=_TAUGHT_FEATURES,
        ),
        "places": Recipe(
            "to go on with from features (--start), which know who it is and still have to learn where things are",
            weights=_landmarks(15.0),
            sir=_FEATURES,
            taught=_TAUGHT_FEATURES,
            # More pictures that people annotated, fewer that a network did.
            mix=Mix(frames=44, synthetic=14, morphs=20),
            remain=0.3,
        ),
        "heads": Recipe(
            "SIR for what is read from good features (--trunk); a teacher, whom they follow already, counts less",
            weights=_landmarks(4.0),
            taught=MappingProxyType({**_TAUGHT, "relation": 2.0}),
            mix=Mix(frames=36, synthetic=20, morphs=16),
            reliability=3.0,
        ),
        "points": Recipe(
            "a decoder of surface points (--point-labels) on top of an earlier network (--start)",
            weights=_RENDERED,
            sir=replace(_NO_GEOMETRY, code=0.0),
            taught=MappingProxyType({"told": 8.0}),
            photometric=0.0,
            dense=DenseWeights(),
            # Rendered faces in real skins say of shape and of profiles what photographs do not.
            mix=Mix(frames=0, people=0, synthetic=36, morphs=0, negatives=10, placed=52),
            # Crops stray less, as those of the second look do; a third of the pictures are warped.
            augment=AugmentSettings(shift=0.04, log_scale=0.07, angle=7.0, turned=0.06, warped=0.35),
            frozen=0,
            trunk_rate=0.5,
        ),
        "margin": Recipe(
            "recognisable codes only: reconstruction, and margin softmax on codes",
            weights=LossWeights(),
            sir=_NO_GEOMETRY,
            taught=MappingProxyType({}),
        ),
        "tikhonov": Recipe("reconstruction only, codes held near the mean face", weights=LossWeights(), sir=None),
    }
)


def recipe(name: str) -> Recipe:
    """A preset by its name; ValueError where there is none."""
    for known, found in RECIPES.items():
        if known == name:
            return found
    raise ValueError(f"expected a recipe of {', '.join(RECIPES)}, got {name!r}")
