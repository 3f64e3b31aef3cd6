"""Glasses in photographs: is it known who wears some, are they gone from the textures, and is nothing else changed?

    python benchmarks/glasses.py PHOTOS.tar WEARERS.txt [--most 200] [--size 512] [--json FILE]

WEARERS.txt names the photos in which somebody looked and saw glasses, ``IDENTITY/NAME`` a line; all others have none.
(who) Of photos with glasses the share in which they are found, and how many of the others are taken for some.
(changed) Of photos without, the share of the texture's texels that come out otherwise than without
``reconstruct/texture/glasses.py``; of all of them, and of those that are taken for faces with glasses.
(drawn) Glasses drawn on the faces without any (:mod:`likeness.train.generate.glasses`): how far the texture is from
that of the photo as it is (bytes, mean of three channels, where frames and dark lenses are in front), with and
without them taken out.
(time) Seconds of processor time per face.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from likeness import Reconstruction, Reconstructor
from likeness.datasets.test_sets import open_photos
from likeness.reconstruct.texture import layers, texture_of
from likeness.reconstruct.texture.atlas import atlas_of
from likeness.reconstruct.texture.glasses import glasses_in
from likeness.reconstruct.texture.laid import laid
from likeness.reconstruct.texture.view import View
from likeness.train.generate.glasses import Wearer, glasses_on

LEAST_TEXELS = 20
"""Covered texels of a pair of glasses that is counted."""


def faces_of(path: Path) -> dict[str, Reconstruction]:
    """The face of every photo in which one is found, by the photo's name."""
    reconstruct, found = Reconstructor(threads=1), {}
    for item in open_photos(path).items:
        for face in reconstruct(item.source(), max_faces=1):
            found[item.name] = face
    return found


def texture(face: Reconstruction, view: View, size: int, *, taken_out: bool = True) -> np.ndarray:
    """The texture of a face by a view of it; with glasses left in if that is wanted."""
    layers.glasses_in = glasses_in if taken_out else lambda view: None
    try:
        return texture_of(face.model, face.model.albedo(face.coefficients.albedo), [view], size)
    finally:
        layers.glasses_in = glasses_in


def measure_who(faces: dict[str, Reconstruction], wearers: set[str]) -> dict[str, object]:
    """How many wear glasses, and how many are said to."""
    said = {name for name, face in faces.items() if glasses_in(face.texture_view()) is not None}
    true = wearers & set(faces)
    return {
        "photos": len(faces),
        "with glasses": len(true),
        "found": len(said & true),
        "recall": len(said & true) / max(len(true), 1),
        "precision": len(said & true) / max(len(said), 1),
        "taken for glasses": sorted(said - true),
        "missed": sorted(true - said),
    }


def measure_changed(faces: Sequence[Reconstruction], size: int) -> dict[str, float]:
    """Of faces without glasses, the share of texels that change."""
    shares = []
    for face in faces:
        view = face.texture_view()
        if glasses_in(view) is None:  # then nothing is computed otherwise
            shares.append(0.0)
            continue
        apart = np.abs(texture(face, view, size).astype(int) - texture(face, view, size, taken_out=False))
        shares.append(float((apart.max(axis=2) > 2).mean()))
    some = [share for share in shares if share > 0]
    return {
        "photos": len(shares),
        "photos that change": len(some),
        "texels that change": float(np.mean(shares)),
        "in those photos": float(np.mean(some)) if some else 0.0,
    }


def measure_drawn(faces: Sequence[Reconstruction], size: int) -> dict[str, float]:
    """Of faces with drawn glasses, how far textures are from those without."""
    rng, rows, found = np.random.default_rng(0), [], 0
    for face in faces:
        view = face.texture_view()
        photo, alpha = glasses_on(Wearer.of(view, face.model), rng)
        drawn, plain = replace(view, photo=photo), texture(face, view, size).astype(int)
        atlas = atlas_of(face.model, size)
        seen = laid(atlas, face.model.albedo(face.coefficients.albedo), view)
        front = cv2.remap(alpha, seen.pixels[..., 0], seen.pixels[..., 1], cv2.INTER_LINEAR)
        where = cv2.resize(((front > 0.5) & (seen.weight > 0.3)).astype(np.uint8), (size, size)) > 0
        found += glasses_in(drawn) is not None
        if where.sum() > LEAST_TEXELS:
            rows.append(
                [np.abs(texture(face, drawn, size, taken_out=out) - plain)[where].mean() for out in (False, True)]
            )
    before, after = np.mean(rows, axis=0)
    return {"photos": len(faces), "found": found / len(faces), "off, left in": before, "off, taken out": after}


def measure_time(faces: Sequence[Reconstruction], size: int) -> dict[str, float]:
    """Processor time of a texture without and with the search for glasses, best of three, mean of faces."""
    found = {}
    for name, out in (("texture, no search", False), ("texture", True)):
        spent = []
        for face in faces:
            view, own = face.texture_view(), []
            for _ in range(3):
                begun = time.process_time()
                texture(face, view, size, taken_out=out)
                own.append(time.process_time() - begun)
            spent.append(min(own))
        found[name] = float(np.mean(spent))
    begun = time.process_time()
    for face in faces:
        glasses_in(face.texture_view())
    return found | {"search alone": (time.process_time() - begun) / len(faces)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Glasses in photographs.")
    parser.add_argument("photos", type=Path)
    parser.add_argument("wearers", type=Path)
    parser.add_argument("--most", type=int, default=200, help="photos on which glasses are drawn")
    parser.add_argument("--size", type=int, default=512, help="of textures")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    faces, wearers = faces_of(arguments.photos), set(arguments.wearers.read_text().split())
    bare = [face for name, face in faces.items() if name not in wearers]
    results = {
        "who": measure_who(faces, wearers),
        "changed": measure_changed(bare, arguments.size),
        "drawn": measure_drawn(bare[: arguments.most], arguments.size),
        "time": measure_time(bare[:8], 1024),
    }
    text = json.dumps(results, indent=1)
    print(text)
    if arguments.json is not None:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
