"""Who is who in mixed photos, against the truth: sorting folders, and strangers among one person's photos."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from fusion_albums import Album

from likeness.errors import LikenessError
from likeness.reconstruct.grouping import groups, margins
from likeness.reconstruct.mixed import chance_of_one
from likeness.reconstruct.people import Sighting, Sightings, chosen_of
from likeness.reconstruct.result import Reconstruction


def sightings(faces: Iterable[Reconstruction]) -> Sightings:
    """Faces as of one photo each."""
    seen = tuple(Sighting(number, str(number), "", face) for number, face in enumerate(faces))
    return Sightings(seen, len(seen), ())


def sorted_faces(faces: Iterable[Reconstruction]) -> tuple[np.ndarray, np.ndarray]:
    """The group of each face, and whether that is sure."""
    seen = sightings(faces)
    alike, evidence = seen.alike()
    number = groups(alike, seen.photo, evidence=evidence)
    return number, margins(alike, seen.photo, number, evidence) >= evidence.unsure


def measure_groups(album: Album) -> dict[str, float]:
    """BCubed of the sorted photos, and of those that are sure."""
    number, sure = sorted_faces(album.faces)
    return {
        "people": float(len(album.people)),
        "found": float(number.max() + 1),
        **_bcubed(number, album.who),
        "sure": float(sure.mean()),
        **{f"{name} of the sure": value for name, value in _bcubed(number[sure], album.who[sure]).items()},
        "NMI": _nmi(number, album.who),
    }


def measure_heads(album: Album) -> dict[str, dict[str, float]]:
    """What becomes of folders of so many people and so many photos of each: the share of a person's photos that their
    largest head has, the share of heads' photos that are of its main person, heads of two people, faces unsure."""
    found = {}
    for people, photos, trials in FOLDERS:
        rng, told = np.random.default_rng(0), []
        able = [one for one in album.people if len(album.of(one)) >= photos]
        if len(able) < people:
            continue
        for _ in range(trials):
            rows = [rng.permutation(album.of(one))[:photos] for one in rng.choice(able, people, replace=False)]
            told.append(_heads(album, np.concatenate(rows)))
        found[f"{people} x {photos}"] = {key: float(np.mean([one[key] for one in told])) for key in told[0]}
    return {**found, "all": _heads(album, np.arange(len(album.faces)))}


FOLDERS = ((4, 3, 200), (6, 2, 200), (8, 8, 60), (15, 18, 8))
"""People, photos of each, and how often."""


def _heads(album: Album, rows: np.ndarray) -> dict[str, float]:
    number, sure = sorted_faces(album.faces[row] for row in rows)
    who = album.who[rows]
    heads = [who[(number == one) & sure] for one in range(number.max() + 1)]
    heads = [head for head in heads if len(head)]
    main = [int(np.bincount(head).argmax()) for head in heads]
    own = [int((head == one).sum()) for head, one in zip(heads, main, strict=True)]
    largest = [
        max((count for count, one in zip(own, main, strict=True) if one == person), default=0) / (who == person).sum()
        for person in np.unique(who)
    ]
    return {
        "share": float(np.mean(largest)),
        "purity": sum(own) / max(1, sum(map(len, heads))),
        "mixed heads": float(sum(count < len(head) for count, head in zip(own, heads, strict=True))),
        "heads": float(len(heads)),
        "unsure": float(1 - sure.mean()),
    }


SIZES = (2, 3, 4, 6, 8, 12, 16)
TOLD = (0.0, 0.5, 0.75, 0.9, 1.01)
"""Chances that a head is one person's, in bands."""


def measure_merges(album: Album, people: int = 10, trials: int = 300) -> dict[str, dict[str, float]]:
    """Folders of so many people with 2 to 16 photos each: of heads of four photos at least that are told to be one
    person's with a chance of each band, how many there are, and the share that has two photos of somebody else."""
    rng = np.random.default_rng(0)
    told, merged = [], []
    for _ in range(trials):
        chosen = rng.choice(album.people, people, replace=False)
        rows = np.concatenate([rng.permutation(album.of(one))[: int(rng.choice(SIZES))] for one in chosen])
        seen = sightings(album.faces[row] for row in rows)
        alike, evidence = seen.alike()
        number = groups(alike, seen.photo, evidence=evidence)
        sure = margins(alike, seen.photo, number, evidence) >= evidence.unsure
        for one in range(number.max() + 1):
            kept = np.flatnonzero((number == one) & sure)
            if len(kept) < LEAST:
                continue
            told.append(chance_of_one(alike[np.ix_(kept, kept)], evidence))
            merged.append(np.sort(np.unique(album.who[rows[kept]], return_counts=True)[1])[:-1].max(initial=0) > 1)
    band, merged_ = np.digitize(told, TOLD[1:-1]), np.array(merged)
    return {
        f"{low:g} to {min(high, 1):g}": {
            "heads": float((band == number).sum()),
            "merged": float(merged_[band == number].mean()),
        }
        for number, (low, high) in enumerate(pairwise(TOLD))
        if (band == number).any()
    }


LEAST = 4
"""Photos of a head of two people that can be told."""


def _bcubed(found: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Amigó et al. 2009: of each photo, how much of its group is its person, and how much of its person is there."""
    a, b = found[:, None] == found[None], true[:, None] == true[None]
    both = (a & b).sum(1)
    precision, recall = float((both / a.sum(1)).mean()), float((both / b.sum(1)).mean())
    return {"precision": precision, "recall": recall, "F": 2 * precision * recall / (precision + recall)}


def _nmi(a: np.ndarray, b: np.ndarray) -> float:
    joint = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(joint, (a, b), 1 / len(a))
    entropies = [-(p[p > 0] * np.log(p[p > 0])).sum() for p in (joint.sum(0), joint.sum(1), joint.ravel())]
    return float(2 * (entropies[0] + entropies[1] - entropies[2]) / (entropies[0] + entropies[1]))


MIXES = (
    *((2, 0, ""), (8, 0, ""), (7, 1, ""), (6, 2, ""), (5, 3, ""), (5, 3, "of one"), (10, 6, "of one"), (4, 4, "")),
    *((4, 4, "of one"), (8, 8, "of one")),
)
"""Photos of a person, of others, and whether the others are photos of one other person."""


def measure_mixes(album: Album, trials: int = 200) -> dict[str, dict[str, float]]:
    """Photos of one person with some of others among them: refused, own photos lost, strangers kept, as shares."""
    found = {}
    for own, strangers, of_whom in MIXES:
        rng, refused, lost, kept, done = np.random.default_rng(0), 0, 0, 0, 0
        for _ in range(trials):
            person = rng.choice(album.people)
            if len(album.of(person)) < own:
                continue
            rows = [*rng.choice(album.of(person), own, replace=False)]
            others = np.flatnonzero(album.who != person)
            if of_whom:
                others = album.of(rng.choice([one for one in album.people if len(album.of(one)) >= strangers]))
            if len(others) < strangers or person in album.who[others]:
                continue
            rows += [*rng.choice(others, strangers, replace=False)]
            try:
                chosen, _ = chosen_of(sightings(album.faces[row] for row in rows))
            except LikenessError:
                refused += 1
                continue
            done += 1
            lost += int((~chosen[:own]).sum())
            kept += int(chosen[own:].sum())
        found[f"{own} + {strangers} {of_whom}".strip()] = {
            "refused": refused / max(done + refused, 1),
            "own lost": lost / max(done * own, 1),
            "strangers kept": kept / max(done * strangers, 1),
        }
    return found
