"""A raw scan in, the same head in our topology out: python examples/register_scan.py SCAN FOLDER [LANDMARKS].

Any units, any pose. Without LANDMARKS (51 lines "x y z") the face is found by looking at the scan from all sides.
"""

import sys

from likeness.register import register_scan

scan, folder = sys.argv[1:3]
landmarks = sys.argv[3] if len(sys.argv) > 3 else None
head = register_scan(scan, landmarks=landmarks)
print(f"in {head.units}; {head.quality.scan_to_mesh_median:.2f} mm median, {head.quality.coverage:.0%} covered")
print("strongest expression:", head.model.expression_names[head.expression.argmax()], head.expression.max().round(2))
print(head.save(folder))  # .obj in mm, .json with the way back to the scan, .png with an error map
head.mesh_in_scan().save(f"{folder}/{head.name}-in-scan.ply")  # in the scan's own axes and units
