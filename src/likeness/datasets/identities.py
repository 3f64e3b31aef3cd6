"""Who is in a picture, as far as its path tells: the one rule for training and evaluation."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

_TRAIN = r"train(?:ing)?"
_HELD_OUT = r"val|valid|validation|test|testing|dev|devel|development|eval|evaluation|hold[-_ ]?out|gallery|probes?"
_KIND = r"(?:[-_ ]?(?:set|data|split|part|images?|imgs?|faces?|photos?|pictures?|crops?|cropped|aligned))?"
_WHOLE = re.compile(rf"(?:(?P<train>{_TRAIN})|{_HELD_OUT}){_KIND}", re.IGNORECASE)
_AT_END = re.compile(rf".*[-_. ](?:(?P<train>{_TRAIN})|{_HELD_OUT})(?:set)?", re.IGNORECASE | re.DOTALL)
_NUMBERED = re.compile(
    rf"(?:(?P<train>{_TRAIN})|{_HELD_OUT}|fold|part|split|subset|batch|chunk|shard){_KIND}[-_ ]?\d+", re.IGNORECASE
)


class People(NamedTuple):
    """What N paths tell.

    Args:
        identity: the person; None where the path does not tell.
        clip: the clip or session within the person's folder; None where there is none.
        split: the folder of a split (``train``, ``val``); None where there are no splits, or outside of them.
        is_training: whether the path is in a split for training.
    """

    identity: list[str | None]
    clip: list[str | None]
    split: list[str | None]
    is_training: list[bool]


def splits_among(folders: Collection[str], deep: Collection[str] = ()) -> dict[str, bool]:
    """Which of the folders beside one another are splits of a data set, and whether each is for training.

    They are where all are called like one (``train`` and ``val``, also ``VGGFace2_train`` beside ``VGGFace2_test``),
    and where, whatever lies beside them, one is called like a split for training and another like one that is held
    out. Numbered ones (``test1``, ``fold_2``) could be people, so that they also have to be ``deep``.

    Args:
        folders: their names.
        deep: those that hold folders and no pictures of their own.
    """
    whole = {name: found["train"] is not None for name in folders if (found := _WHOLE.fullmatch(name))}
    if len(whole) == len(folders) or (any(whole.values()) and not all(whole.values())):
        return whole
    numbered = {
        name: found["train"] is not None for name in folders if name in deep and (found := _NUMBERED.fullmatch(name))
    }
    if len(whole) + len(numbered) == len(folders):
        return whole | numbered
    ends = {name: found["train"] is not None for name in folders if (found := _AT_END.fullmatch(name))}
    return ends if len(ends) == len(folders) > 1 and len({*ends.values()}) == 2 else {}


def people_of(names: Sequence[str], *, lone_folder: bool = False) -> People:
    """Who is in files ``[WRAPPER/][SPLIT/]IDENTITY/[CLIP/]NAME.jpg``.

    Folders that all files share are no identities, so that ``CASIA-WebFace/0000045/001.jpg`` is person 0000045, nor
    are splits (:func:`splits_among`): a name in two of them is one person. Pictures outside of all folders, or beside
    splits, are of nobody known.

    Args:
        names: of all files of one source, relative, with ``/``.
        lone_folder: the files of a single folder are of one person, who is called like it, as in a test set of one
            person; else they are of unknown people, as in an archive of pictures without labels.
    """
    rest: list[tuple[str, ...] | None] = [PurePosixPath(name).parts[:-1] for name in names]
    split: list[str | None] = [None] * len(names)
    training = [False] * len(names)
    alone: str | None = None
    while True:
        tops = _tops(rest)
        splits = splits_among(tops, _deep(rest, tops)) if tops else {}
        if splits:
            alone = None
            for row, parts in enumerate(rest):
                if not parts:
                    continue
                if parts[0] not in splits:
                    rest[row] = None
                    continue
                split[row] = split[row] or parts[0]
                training[row] = training[row] or splits[parts[0]]
                rest[row] = parts[1:]
        elif len(tops) == 1 and _is_wrapper(rest, (alone := next(iter(tops)))):
            rest = [parts[1:] if parts else parts for parts in rest]
        else:
            break
    if lone_folder and alone is not None and not any(rest):
        return People([None if parts is None else alone for parts in rest], [None] * len(names), split, training)
    identity = [parts[0] if parts else None for parts in rest]
    return People(
        identity, ["/".join(parts) if parts and len(parts) > 1 else None for parts in rest], split, training
    )


def person_among(name: str, people: Collection[str], otherwise: str) -> str:
    """Who is in a file where the people are known from elsewhere, as of scans: the outermost folder that is called
    like one of them, else ``otherwise``."""
    return otherwise if otherwise in people else next((p for p in name.split("/")[:-1] if p in people), otherwise)


def unique_names(names: Iterable[str]) -> tuple[str, ...]:
    """Paths without their suffixes, but with them where two would be called alike (``a.jpg`` and ``a.png``)."""
    full = list(names)
    bare = [str(PurePosixPath(name).with_suffix("")) for name in full]
    counts: dict[str, int] = {}
    for name in bare:
        counts[name] = counts.get(name, 0) + 1
    return tuple(b if counts[b] == 1 else f for b, f in zip(bare, full, strict=True))


def _tops(rest: Iterable[tuple[str, ...] | None]) -> dict[str, None]:
    """The outermost folders, in the order in which they come."""
    return dict.fromkeys(parts[0] for parts in rest if parts)


def _deep(rest: Iterable[tuple[str, ...] | None], tops: Collection[str]) -> set[str]:
    """The outermost folders that hold folders and no pictures of their own."""
    return set(tops) - {parts[0] for parts in rest if parts and len(parts) == 1}


def _is_wrapper(rest: Sequence[tuple[str, ...] | None], top: str) -> bool:
    """Whether the only outermost folder is nobody's: it holds everything, or, beside stray pictures, nothing but two
    folders or more."""
    if all(parts != () for parts in rest):
        return True
    inner = {parts[1] for parts in rest if parts and len(parts) > 1}
    return top in _deep(rest, [top]) and len(inner) > 1
