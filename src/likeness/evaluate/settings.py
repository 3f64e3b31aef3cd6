"""The settings of `likeness evaluate`'s sub-commands, as the command line shows them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import tyro

from likeness.arguments import MaybeInt, MaybePath
from likeness.geometry.units import Unit

Kind = Literal["auto", "photos", "results", "codes", "meshes"]
Protocol = Literal["now", "now-metrical", "deng", "genova"]
Normaliser = Literal["box", "inter-ocular", "inter-pupil"]


@dataclass(kw_only=True)
class Settings:
    """What all evaluations share."""

    name: ClassVar[str] = ""

    input: Annotated[Path, tyro.conf.Positional]
    """A folder or an archive (.tar, .tgz, .zip ...) of photos as training reads them (IDENTITY/NAME.jpg, with train/
    and val/ or without; KEY.webp and KEY.json with identity, clip, landmarks; 300W; CelebA; NoW ...), a folder of
    saved results (IDENTITY/NAME.json), arrays (.npz with codes, labels and if known groups, names), or a folder of
    meshes (IDENTITY/NAME.obj or .ply, of one topology)."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("evaluation")
    """Folder for results.json, report.html, panel.png (of shapes) and the cache that lets a killed run go on."""
    kind: Kind = "auto"
    """What the input is, where a folder holds several kinds."""
    model: MaybePath = None
    """Another face model (.npz) than the embedded one; of codes (.npz), the model that they belong to."""
    network: MaybePath = None
    """Another regressor (.onnx) than the embedded one."""
    yunet: MaybePath = None
    """The file of OpenCV's YuNet face detector, used instead of the embedded one."""
    min_score: float = 0.9
    """Drop faces whose chance of being one is below this (0 to 1)."""
    threads: MaybeInt = None
    """CPU threads of the network."""
    annotated_crops: bool = False
    """Cut faces by the annotated landmarks instead of searching for them."""
    exclude: MaybePath = None
    """Text file of people or photos to leave out, one a line."""
    seed: int = 0
    """Random seed."""
    overwrite: bool = False
    """Replace results in the folder that are not of the same evaluation of the same input, too."""


@dataclass(kw_only=True)
class ShapeSettings(Settings):
    """What evaluations of meshes share."""

    vertices: MaybePath = None
    """Of meshes: text file of vertex numbers, the region to align and compare on; else the whole surface."""
    scale: bool = False
    """Of meshes: remove size before comparing."""


@dataclass(kw_only=True)
class Recognisability(ShapeSettings):
    """Can people be told apart by their shapes? The SIR metric by code and by geometry, and the gap between."""

    name: ClassVar[str] = "recognisability"

    gallery: MaybePath = None
    """Another input of the same kind: compare everything with it instead of with each other."""
    bootstrap: int = 1000
    """Replicates for the 95 % intervals over people; 0: none."""


@dataclass(kw_only=True)
class Verification(ShapeSettings):
    """Are two photos of one person? Accuracy on folds, AUC, EER; by code and by geometry."""

    name: ClassVar[str] = "verification"

    pairs: MaybePath = None
    """LFW's pairs.txt (or Kaggle's CSV of it), lines 'photo photo 1' or 0, CPLFW's two lines a pair, or columns
    first, second, same[, fold]; names are IDENTITY/NAME, or IDENTITY or IDENTITY/GROUP for a fused template.
    Without, a .bin set's own pairs, or pairs made by seed."""
    made_pairs: int = 3000
    """Without pairs: make up to so many of one person, and as many of two."""


@dataclass(kw_only=True)
class Reconstruction(Settings):
    """How far are the shapes from scans of the same people, in millimetres?"""

    name: ClassVar[str] = "reconstruction"

    scans: Path
    """Folder of scans with their landmarks: IDENTITY.ply (or .obj, .stl) or IDENTITY/SCAN.ply, beside each a file of
    the same name with 7, 8, 51 or 68 points (.txt, .npy, .json or .pp); or the NoW challenge's release as it lies."""
    protocol: Protocol = "now"
    """See likeness.metrics.scan_error."""
    scan_unit: Unit = "mm"
    """Of the scans."""
    mesh_unit: Unit = "mm"
    """Of meshes of another method."""
    mesh_landmarks: MaybePath = None
    """Of meshes of one topology: text file of 7, 8, 51 or 68 vertex numbers; else each mesh has a landmark file of
    its name beside it."""
    fuse: bool = False
    """Of photos, results and codes: one shape a person, of the fused codes."""


@dataclass(kw_only=True)
class Landmarks(Settings):
    """Error of the 68 iBUG landmarks against annotations. Arrays are .npz with landmarks and truth (N, 68, 2)."""

    name: ClassVar[str] = "landmarks"

    truth: MaybePath = None
    """Of saved results: the photos (folder or tar) whose annotations they are compared with."""
    normaliser: Normaliser = "box"
    """By what the mean distance is divided."""


@dataclass(kw_only=True)
class Space(ShapeSettings):
    """How codes fill their space and cluster by person; how compact, general and specific a model is."""

    name: ClassVar[str] = "space"

    samples: int = 1000
    """Random shapes for specificity, of meshes in a face model's topology (--model)."""


@dataclass(kw_only=True)
class Fidelity(Settings):
    """Are the shapes the people's own? Fidelity beside recognisability. The input is a tar of photos with people,
    clips and landmarks: for the cross-photo error, blinks, NME and AUC."""

    name: ClassVar[str] = "fidelity"

    portraits: MaybePath = None
    """Folder of portraits with hand-placed points: NAME-neutral.tem, .jpg and, where known, NAME-smile.jpg."""
    rendered: MaybePath = None
    """Folder of rendered people with truth.npz (likeness.train.generate.rendered_people makes one)."""
    scans: MaybePath = None
    """Folder of scans of heads at rest, if known with their 51 inner landmarks in NAME.txt: they are photographed."""
    photos: MaybePath = None
    """More photos of people, without landmarks: for the AUC only."""
    judge: MaybePath = None
    """dlib's face recognition network (.onnx), which is shown the portraits' heads. Never choose a network by it."""
    bootstrap: int = 1000
    """Replicates for the AUC's 95 % intervals over people; 0: none."""


Command = Recognisability | Verification | Reconstruction | Landmarks | Space | Fidelity


@dataclass
class Evaluate:
    """Measure photos, saved results, codes or another method's meshes: a table, results.json and report.html."""

    action: tyro.conf.OmitSubcommandPrefixes[
        Annotated[Recognisability, tyro.conf.subcommand("recognisability")]
        | Annotated[Verification, tyro.conf.subcommand("verification")]
        | Annotated[Reconstruction, tyro.conf.subcommand("reconstruction")]
        | Annotated[Landmarks, tyro.conf.subcommand("landmarks")]
        | Annotated[Space, tyro.conf.subcommand("space")]
        | Annotated[Fidelity, tyro.conf.subcommand("fidelity")]
    ]
