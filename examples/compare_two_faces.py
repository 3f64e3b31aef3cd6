"""How different are two people's heads, in millimetres? python examples/compare_two_faces.py PHOTO PHOTO."""

import sys

import numpy as np

import likeness

reconstruct = likeness.Reconstructor()
faces = [reconstruct(photo, max_faces=1)[0] for photo in sys.argv[1:3]]
a, b = (reconstruct.model.geometry(face.coefficients.identity) for face in faces)
print(f"{np.linalg.norm(a - b):.2f} mm root-mean-square over the face region")
