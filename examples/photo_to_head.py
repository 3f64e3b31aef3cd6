"""A photo in, a rigged head out: python examples/photo_to_head.py PHOTO FOLDER."""

import sys

import likeness

photo, folder = sys.argv[1:3]
reconstruct = likeness.Reconstructor()
for face in reconstruct(photo, max_faces=1):
    print(face.score, face.box, face.coefficients.expression.max())
    print(face.save(folder, formats=("glb", "json")))
