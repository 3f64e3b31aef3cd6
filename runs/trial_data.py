"""The data folder of ``runs/build_default.sh`` with a few photos of a few people, to try the build out.

    python runs/trial_data.py DATA OUT [--people 30] [--each 9]

Every archive of photos in DATA/photos is written anew, as it is but for the people and photos that are left out. All
else in OUT are symbolic links to what lies in DATA.
"""

from __future__ import annotations

import argparse
import tarfile
from pathlib import Path, PurePosixPath

import numpy as np

from likeness.datasets.test_sets import open_photos


def main() -> None:
    parser = argparse.ArgumentParser(description="A small copy of the data folder.")
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--people", type=int, default=30, help="of each archive, at most")
    parser.add_argument("--each", type=int, default=9, help="photos of each person, at most (whitening takes 8)")
    arguments = parser.parse_args()
    for folder in (arguments.data, arguments.data / "photos"):
        out = arguments.out / folder.relative_to(arguments.data)
        out.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.iterdir()):
            if path.suffix == ".tar":
                cut(path, out / path.name, arguments.people, arguments.each)
            elif path.name != "photos" and not (out / path.name).exists():
                (out / path.name).symlink_to(path.resolve())


def cut(path: Path, out: Path, people: int, each: int) -> None:
    """Write the archive with so many photos of so many people, evenly from all, and what belongs to these."""
    photos: dict[str, list[str]] = {}
    for item in open_photos(path).items:
        photos.setdefault(item.identity, []).append(item.name)
    kept = set[str]()
    for person in _evenly(sorted(photos), people):
        chosen = _evenly(photos[person], each)
        kept |= {*chosen, *(name.removeprefix(f"{person}/") for name in chosen)}
    with tarfile.open(path) as source, tarfile.open(out, "w") as made:
        for member in source:
            if str(PurePosixPath(member.name).with_suffix("")) in kept:
                made.addfile(member, source.extractfile(member))


def _evenly(values: list[str], count: int) -> list[str]:
    places = np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int)
    return [values[place] for place in places]


if __name__ == "__main__":
    main()
