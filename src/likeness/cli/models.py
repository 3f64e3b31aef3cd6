"""The settings of `likeness models`: face models converted, looked into, and people moved between them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from likeness.arguments import MaybePath

TransferFormat = Literal["obj", "glb", "ply", "json"]


@dataclass
class Convert:
    """Any face model (BFM, FLAME, ICT, eos, FaceVerse, FaceScape) to likeness's own .npz."""

    source: Annotated[Path, tyro.conf.Positional]
    """The model's file, or the folder of the ICT release."""
    target: Annotated[Path, tyro.conf.Positional]
    """The .npz to write."""
    blendshapes: MaybePath = None
    """Expressions in a file of their own: eos's .bin, or Exp_Pca.bin for BFM 2009."""
    landmarks: MaybePath = None
    """The 68 iBUG points: one of eos's mapping files, a list of vertices, or FLAME's landmark_embedding.npy."""
    contours: MaybePath = None
    """eos's contours (.json), for mappings without the points of the jaw line."""
    masks: MaybePath = None
    """FLAME's FLAME_masks.pkl, whose masks become regions; without, that beside the model."""
    overwrite: bool = False
    """Replace the target even if it was not written by this command from the same source."""


@dataclass
class Info:
    """What a face model of any format holds."""

    file: Annotated[Path, tyro.conf.Positional]


@dataclass
class Transfer:
    """People of face model A as people of face model B: codes and meshes of A in, codes and meshes of B out."""

    source: Annotated[Path, tyro.conf.Positional]
    """Model A, in any format."""
    target: Annotated[Path, tyro.conf.Positional]
    """Model B, in any format."""
    people: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Codes of A (.json of reconstruct, fit, register or this command; .npz or .mat with "identity", "shape", "betas"
    or "id" (N, K) and, if known, "expression" or "exp" (N, E); .npy of identities) or meshes of A's vertices (.obj,
    .ply, .glb) in any axes. Without, twenty people drawn from A tell how well B can be them."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out")
    """Folder for the results; made if missing."""
    formats: tuple[TransferFormat, ...] = ("obj", "json")
    """Which files to write for each person; for a file of several it is an .npz."""
    overwrite: bool = False
    """Replace files in the folder that are no earlier results of the same file, too."""


@dataclass
class Models:
    """Face models: convert other people's, look into a file, move people from one to another."""

    action: tyro.conf.OmitSubcommandPrefixes[
        Annotated[Convert, tyro.conf.subcommand("convert")]
        | Annotated[Info, tyro.conf.subcommand("info")]
        | Annotated[Transfer, tyro.conf.subcommand("transfer")]
    ]
