"""All portraits of a folder through the whole program: found or not, smile weights, and a page to look at.

    python benchmarks/portraits.py DATA/portraits OUT [--json FILE]

File names are PERSON-neutral.jpg and PERSON-smile.jpg. OUT gets the sheets of all faces in one picture. The table
says how many faces were found, by how much the smile weights differ between a person's two photos, and how far
apart (mm, root-mean-square over the face) identity shapes are within a person and between people.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from likeness import Reconstruction, Reconstructor
from likeness.reconstruct.reconstructor import MIN_SCORE


def measure(faces: dict[tuple[str, str], Reconstruction]) -> dict[str, float]:
    """Numbers of the table, of one face per (person, expression)."""
    people = sorted({person for person, kind in faces if (person, "smile") in faces and (person, "neutral") in faces})
    model = next(iter(faces.values())).model
    smile = [model.expression_names.index(f"mouthSmile{side}") for side in ("Left", "Right")]

    def weights(kind: str, columns: list[int]) -> np.ndarray:
        return np.array([faces[person, kind].coefficients.expression[columns].mean() for person in people])

    codes = {kind: model.geometry(np.stack([faces[p, kind].coefficients.identity for p in people]))
             for kind in ("neutral", "smile")}  # fmt: skip
    distance = np.linalg.norm(codes["neutral"][:, None] - codes["smile"][None], axis=-1)
    rank = (distance.argmin(1) == np.arange(len(people))).sum()
    other = distance[~np.eye(len(people), dtype=bool)]
    return {
        "people": len(people),
        "smile_weight_neutral": float(weights("neutral", smile).mean()),
        "smile_weight_smile": float(weights("smile", smile).mean()),
        "smile_weight_rises_for": int((weights("smile", smile) > weights("neutral", smile)).sum()),
        "same_person_mm": float(np.diag(distance).mean()),
        "other_people_mm": float(other.mean()),
        "rank1_by_geometry": int(rank),
    }


def main() -> None:
    import cv2

    parser = argparse.ArgumentParser(description="The portraits through the whole program.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--network", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--min-score", type=float, default=MIN_SCORE, help="of faces that are looked at, 0 to 1")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    reconstruct = Reconstructor(arguments.model, arguments.network, min_score=arguments.min_score)
    faces, sheets, missed, extra = {}, [], [], 0
    photos = sorted(arguments.folder.glob("*-*.jpg"))
    for path in photos:
        found = reconstruct(path)
        extra += max(len(found) - 1, 0)
        if not found:
            missed.append(path.name)
            continue
        person, _, kind = path.stem.partition("-")
        faces[person, kind] = found[0]
        sheets.append(found[0].overview(200))
    rows = [np.concatenate(sheets[i : i + 2], 1) for i in range(0, len(sheets) - 1, 2)]
    cv2.imwrite(str(arguments.out / "portraits.png"), np.concatenate(rows)[..., ::-1])
    result = {"photos": len(photos), "missed": missed, "false_faces": extra, **measure(faces)}
    for key, value in result.items():
        print(f"{key:24} {value:.3f}" if isinstance(value, float) else f"{key:24} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
