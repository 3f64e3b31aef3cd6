"""What of a code is the person and what is the picture: codes of one picture, drawn towards what can be relied on.

Pictures of one person give codes that differ, in some directions of shape much and in others little. With the
covariance B of people and W of one person's pictures, both Gaussian and in the geometry domain, the best estimate of
a person's shape from one picture (the posterior mean, Wiener's filter) is not the shape ``g`` that the picture gives,
but

    mean + B (B + W)⁻¹ (g - mean)

which keeps the directions in which people differ and gives up those in which pictures do. It is nearer to the mean
than ``g``; a gain then makes faces as different as they were, so what some directions lose the others win. A share of
``g`` stays in any case: what pictures of these people do not tell, others may (rendered faces, whose shapes are
known, are missed by 4 % more with the filter, and by 8 % if nothing stays). All of it is linear and becomes part of
the layer that reads the code from the features: the network stays as it is.

A loss on the scatter within people (:mod:`likeness.train.losses.sir`) asks for the same, but has to win it against
every other loss: at twenty times the weight it cost recognisability between photographs, and this does not
(docs/training.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from likeness.train.photos.batches import People
from likeness.train.photos.inference import batches
from likeness.train.photos.network import Regressor
from likeness.train.photos.samples import SampleMaker

EACH, PEOPLE = 24, 2000
"""So many pictures of so many people tell enough."""

KEPT = 0.3
"""The share of every direction that stays."""

RIDGE = 0.004
"""Added to W, in mean variances of a direction: what hardly varied in training is not relied on."""


@dataclass(frozen=True, eq=False)
class Spread:
    """How shapes spread, from pictures of known people.

    Attributes:
        within: (K, K) W, mm², covariance of one person's pictures.
        between: (K, K) B, mm², covariance of people's means; as few pictures blur a mean, it holds a little of W,
            which errs on the side of keeping.
        both: (K, K) mm², covariance of all pictures.
    """

    within: np.ndarray
    between: np.ndarray
    both: np.ndarray


def spread_of(embedded: np.ndarray, person: np.ndarray) -> Spread:
    """The spread of shapes.

    Args:
        embedded: (n, K) mm, geometry embeddings of pictures.
        person: (n,) whose.

    Raises:
        ValueError: no two people have two pictures each, which is too little to tell.
    """
    _, member, count = np.unique(person, return_inverse=True, return_counts=True)
    if (count > 1).sum() < 2:
        raise ValueError(f"expected two people with two pictures each, got {(count > 1).sum()}")
    means = np.zeros((len(count), embedded.shape[1]))
    np.add.at(means, member, embedded)
    means /= count[:, None]
    several = count[member] > 1
    # About the mean of n pictures the squares are too small by (n - 1) / n.
    share = np.sqrt(count / np.maximum(count - 1, 1))[member, None]
    rest = ((embedded - means[member]) * share)[several]
    return Spread(rest.T @ rest / len(rest), np.cov(means.T), np.cov(embedded.T))


def reliable(spread: Spread, strength: float = 1.0, kept: float = KEPT) -> np.ndarray:
    """The filter (K, K), for rows: ``(g - mean) @ filter`` is what to believe of ``g - mean``, gain and all.

    Args:
        spread: of shapes.
        strength: W counts so many times: more than 1 where the pictures are of people that the network has learned by
            heart, and those of others scatter more; 0 leaves everything as it is.
        kept: the share that stays in any case, 0 to 1.
    """
    size = len(spread.both)
    if strength == 0:
        return np.eye(size)
    ridge = RIDGE * np.trace(spread.both) / size * np.eye(size)
    believed = np.linalg.solve(spread.between + strength * (spread.within + ridge), spread.between)
    gain = np.sqrt(np.trace(spread.both) / np.trace(believed.T @ spread.both @ believed))
    mixed = kept * np.eye(size) + (1 - kept) * gain * believed
    return np.asarray(mixed * np.sqrt(np.trace(spread.both) / np.trace(mixed.T @ spread.both @ mixed)))


def codes_of_people(network: Regressor, maker: SampleMaker, batch: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """What the identity head says of people's pictures before it becomes a code, as crops and mirror images have it.

    Of everyone with two pictures or more, :data:`EACH` at most; of :data:`PEOPLE` people at most.

    Args:
        network: in evaluation mode.
        maker: has the pictures; those without landmarks of their own as far as it has pseudo-labels.
        batch: pictures at a time.

    Returns:
        Vectors (n, K), and whose pictures they are (n,).
    """
    everyone = People(maker).pictures
    chosen = np.random.default_rng(0).permutation(len(everyone))[:PEOPLE].tolist()
    faces = [
        (person, *everyone[person][place])
        for person in chosen
        for place in np.unique(np.linspace(0, len(everyone[person]) - 1, EACH).astype(int)).tolist()
    ]
    device = next(network.parameters()).device
    found = [np.zeros((0, network.settings.identity))]
    for rows in batches(len(faces), batch):
        crops = np.stack([maker.upright(is_frame, number) for _, is_frame, number in faces[rows.start : rows.stop]])
        pixels = torch.from_numpy(crops).to(device)
        with torch.inference_mode():
            looks = [network.features(look) for look in (pixels, pixels.flip(2))]
            found.append(network.heads["identity"](torch.stack(looks)).mean(0).double().cpu().numpy())
    return np.concatenate(found), np.array([person for person, _, _ in faces], int)


def rely(network: Regressor, vectors: np.ndarray, person: np.ndarray, factor: np.ndarray, strength: float) -> None:
    """Make the filter part of a network's identity head, in place.

    On a sphere the head's vectors are of any length; their mean length stands for each one's.

    Args:
        network: whose head it is.
        vectors: (n, K) of pictures, by :func:`codes_of_people`.
        person: (n,) whose pictures they are.
        factor: (K, K) L of the geometry metric, mm per unit of code.
        strength: see :func:`reliable`.

    Raises:
        ValueError: see :func:`spread_of`; the network is as it was.
    """
    codes = np.asarray(network.space.project(vectors))
    matrix = filter_of_codes(reliable(spread_of(codes @ factor, person), strength), factor)
    length = np.linalg.norm(vectors, axis=1).mean() / np.linalg.norm(codes, axis=1).mean()
    mean = codes.mean(0)
    head = network.heads["identity"]
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        weight, bias = (value.detach().double().cpu().numpy() for value in (head.weight, head.bias))
        head.weight.copy_(torch.from_numpy((matrix / length).T @ weight))
        head.bias.copy_(torch.from_numpy((bias / length - mean) @ matrix + mean))


def rely_on(network: Regressor, maker: SampleMaker, factor: np.ndarray, strength: float) -> str:
    """Draw a network's codes towards what pictures of known people say can be relied on, in place (:func:`rely`).

    Returns:
        What was done, or why nothing was.
    """
    vectors, person = codes_of_people(network, maker)
    try:
        rely(network, vectors, person, factor, strength)
    except ValueError as error:
        return f"codes left as they are: {error}"
    return f"codes drawn towards what {len(vectors)} pictures say can be relied on"


def filter_of_codes(matrix: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """The filter (K, K) of shapes as one of codes; directions of code that show in no shape stay as they are."""
    inverse = np.linalg.pinv(factor)
    return factor @ matrix @ inverse + np.eye(len(factor)) - factor @ inverse
