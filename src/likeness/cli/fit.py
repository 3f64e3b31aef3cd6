"""The command `likeness fit`: points in photos, found by whatever means, in; heads out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from likeness.arguments import MaybePath

FitFormat = Literal["glb", "obj", "json"]
MaybeFloat = Annotated[float | None, tyro.conf.arg(metavar="FLOAT")]
MaybeSize = Annotated[tuple[int, int] | None, tyro.conf.arg(metavar="WIDTH HEIGHT")]


@dataclass
class Fit:
    """Points in photos in, heads out: NAME.glb, NAME.obj and NAME.json for every file of points."""

    points: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Files with a face's points in pixels: iBUG's .pts, .json with "landmarks" (likeness reconstruct writes such),
    .npy (P, 2) or .npz with "landmarks" or "points"; 68 iBUG points unless --surface says which. NaN,
    or -1 for both x and y: not seen."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out")
    """Folder for the results; made if missing."""
    formats: tuple[FitFormat, ...] = ("glb", "obj", "json")
    """Which files to write."""
    together: bool = False
    """All files are of one person: one shape is found from all of them."""
    size: MaybeSize = None
    """The photos' width and height in pixels; without, that of the photo of the same name beside the points, or
    "photo_size" of a .json."""
    focal: MaybeFloat = None
    """The photos' focal length in pixels; without, EXIF of the photo beside the points is asked, else it is found."""
    error: MaybeFloat = None
    """Standard deviation of the points' errors, pixels; without, 1.5 % of the size of the face's box."""
    surface: MaybePath = None
    """An .npz that says which points of the surface these are: vertices (P, 3), weights (P, 3) and, if you like,
    offsets (P, 3) in mm."""
    model: MaybePath = None
    """Another face model (.npz) than the embedded one."""
    overwrite: bool = False
    """Also replace files that were not written by this command of the same points, or have been changed since."""
