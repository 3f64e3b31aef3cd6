"""A face model of another project (BFM, FLAME, ICT, eos ...) to likeness's own file, and a face from it.

python examples/convert_model.py MODEL OUT.npz
"""

import sys

import numpy as np

import likeness
from likeness.model.formats import load_model

model = load_model(sys.argv[1])  # millimetres, our axes, whatever the file has
model.save(sys.argv[2])

model = likeness.FaceModel.load(sys.argv[2])
code = model.space.sample(1, np.random.default_rng(0))[0]
size = np.ptp(model.vertices(code), axis=0)
print(f"{model.name}: {len(model.mean)} vertices, {len(model.identity_basis)} identity modes")
print(f"expressions: {', '.join(model.expression_names[:5]) or 'none'} ...")
print(f"a random face of it is {size[0]:.0f} x {size[1]:.0f} x {size[2]:.0f} mm")
