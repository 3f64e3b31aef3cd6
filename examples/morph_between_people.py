"""Two photos, and the heads on the way from one person to the other, as OBJ files.

    python examples/morph_between_people.py PHOTO PHOTO FOLDER

On the embedded sphere model the way is the great circle: every head on it is as much of a person as its ends, while
the straight line would pass through duller, more average ones.
"""

import sys
from pathlib import Path

import likeness

first, second, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
folder.mkdir(parents=True, exist_ok=True)
reconstruct = likeness.Reconstructor()
model = reconstruct.model
a, b = (reconstruct(photo, max_faces=1)[0].coefficients for photo in (first, second))
for step in range(5):
    share = step / 4
    code = model.space.interpolate(a.identity, b.identity, share)
    albedo = (1 - share) * a.albedo + share * b.albedo
    model.mesh(code, albedo=albedo).save(folder / f"morph-{step}.obj")
    print(f"{share:.2f} of the way, {model.space.distance(a.identity, code):.2f} rad from the first")
