"""Who is in a picture, as far as its path tells: the one rule for training and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath


def common_depth(folders: Sequence[tuple[str, ...]]) -> int:
    """How many folders at the beginning of all paths are the same."""
    shared = 0
    if folders:
        low, high = min(folders), max(folders)
        while shared < min(len(low), len(high)) and low[shared] == high[shared]:
            shared += 1
    return shared


def people_of(names: Sequence[str], *, lone_folder: bool = False) -> tuple[list[str | None], list[str | None]]:
    """Identity and clip that paths ``[WRAPPER/]IDENTITY/[CLIP/]NAME.jpg`` tell; None where they do not.

    Folders that all files share are no identities, so that ``CASIA-WebFace/0000045/001.jpg`` is person 0000045.

    Args:
        names: of all files of one source, relative, with ``/``.
        lone_folder: the files of a single folder are of one person, who is called like it, as in a test set of one
            person; else they are of unknown people, as in an archive of pictures without labels.
    """
    folders = [PurePosixPath(name).parts[:-1] for name in names]
    shared = common_depth(folders)
    if lone_folder and shared and all(len(parts) == shared for parts in folders):
        shared -= 1
    rest = [parts[shared:] for parts in folders]
    return [parts[0] if parts else None for parts in rest], ["/".join(p) if len(p) > 1 else None for p in rest]
