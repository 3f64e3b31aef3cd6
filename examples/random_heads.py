"""Five people who do not exist, as OBJ files: python examples/random_heads.py FOLDER."""

import sys
from pathlib import Path

import numpy as np

import likeness

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
model = likeness.Reconstructor().model
rng = np.random.default_rng(0)
for number, code in enumerate(model.space.sample(5, rng)):
    albedo = rng.standard_normal(len(model.albedo_names))
    model.mesh(code, albedo=albedo).save(folder / f"person-{number}.obj")
