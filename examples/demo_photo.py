"""Write the public-domain portrait of astronaut Eileen Collins (NASA) that scikit-image carries: FILE.jpg."""

import sys
from pathlib import Path

import cv2
from skimage.data import astronaut

path = Path(sys.argv[1] if len(sys.argv) > 1 else "astronaut.jpg")
path.parent.mkdir(parents=True, exist_ok=True)
cv2.imwrite(str(path), astronaut()[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
print(path)
