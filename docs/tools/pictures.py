"""The pictures of docs/concepts.md, and the numbers in them, from the embedded face model.

    python docs/tools/pictures.py

Writes docs/pictures/*.png and docs/pictures/figures.json, which the tests compare with what the page says.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from likeness import FaceModel
from likeness.assets import asset
from likeness.images.color import linear_from_srgb
from likeness.metrics import Samples, recognisability_of_codes
from likeness.metrics.fidelity_shapes import shape_fidelity
from likeness.render.error_map import color_bar, error_colors
from likeness.render.head_view import head_view

HERE = Path(__file__).parents[1] / "pictures"
SIDE, SHOWN_MM, INK = 160, 285.0, (60, 60, 60)
PEOPLE, PHOTOS, SEED = 60, 6, 7


def head(model: FaceModel, vertices: np.ndarray, albedo: np.ndarray | None = None, yaw: float = 0.35) -> np.ndarray:
    """(SIDE, SIDE, 3) a head, a little turned, always at one scale."""
    middle = 0.5 * (model.mean.max(0) + model.mean.min(0)) + [0.0, 0.0, 20.0]
    return head_view(vertices, model.topology.triangles, middle, SHOWN_MM, SIDE, yaw=yaw, albedo=albedo)


def heat(model: FaceModel, a: np.ndarray, b: np.ndarray, limit: float) -> np.ndarray:
    """The first head in the colours of its distance from the second."""
    colors = error_colors(np.linalg.norm(a - b, axis=1), limit)
    return head(model, a, linear_from_srgb(colors))


def titled(picture: np.ndarray, *lines: str) -> np.ndarray:
    """A picture with lines of text below."""
    below = np.full((8 + 17 * len(lines), picture.shape[1], 3), 255, np.uint8)
    for number, line in enumerate(lines):
        width = cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)[0][0]
        place = (max(0, (picture.shape[1] - width) // 2), 14 + 17 * number)
        cv2.putText(below, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, INK, 1, cv2.LINE_AA)
    return np.concatenate([picture, below])


def write(name: str, *rows: list[np.ndarray]) -> None:
    """A picture of rows of pictures."""
    picture = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    cv2.imwrite(str(HERE / name), picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


def sphere(model: FaceModel, rng: np.random.Generator) -> dict[str, float]:
    """From one person to another: along the sphere and on beyond, and straight through it."""
    space, rest = model.space, model.vertices(np.zeros(len(model.identity_basis)))
    a, b = space.sample(2, rng).astype(np.float64)
    shares = (-0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
    angle = float(space.distance(a, b))
    on = [(np.sin((1 - s) * angle) * a + np.sin(s * angle) * b) / np.sin(angle) for s in shares]
    through = [a + s * (b - a) for s in (0.0, 0.25, 0.5, 0.75, 1.0)]
    mean = np.full((SIDE, SIDE, 3), 255, np.uint8)
    rows = []
    for codes, names in ((on, shares), ([None, *through, None], shares)):
        row = []
        for code, share in zip(codes, names, strict=True):
            if code is None:
                row.append(titled(mean, "", ""))
                continue
            out = float(np.linalg.norm(code) / space.radius)
            away = float(np.linalg.norm(model.geometry(code)))
            text = (f"{share:g} of the way", f"|c| {out:.2f} R, {away:.1f} mm")
            row.append(titled(head(model, model.vertices(code)), *text))
        rows.append(row)
    write("sphere.png", *rows)
    lengths = [0.0, 0.25, 0.5, 0.75, 1.0]
    inside = [head(model, model.vertices(share * a)) for share in lengths]
    write("inside.png", [titled(one, f"|c| = {share:g} R") for one, share in zip(inside, lengths, strict=True)])
    middle = model.geometry(np.stack([on[3], through[2]]))
    return {
        "angle": angle,
        "middle on the sphere, mm from the mean": float(np.linalg.norm(middle[0])),
        "middle straight through, mm from the mean": float(np.linalg.norm(middle[1])),
        "mean, mm": float(np.abs(rest - model.mean).max()),
    }


def domains(model: FaceModel, rng: np.random.Generator) -> dict[str, float]:
    """Two pairs of codes, equally far apart: in directions that show, and in those that do not."""
    values, axes = np.linalg.eigh(model.metric.factor @ model.metric.factor.T)
    radius, size = model.space.radius, len(values)
    base = model.space.sample(1, rng)[0].astype(np.float64)
    row, figures = [], {}
    for name, shown in (("seen", np.arange(size) >= size - 12), ("unseen", np.arange(size) < size // 2)):
        along = axes[:, shown] @ rng.standard_normal(int(shown.sum()))
        along -= base * (along @ base) / (base @ base)
        along *= radius / np.linalg.norm(along)
        other = np.cos(0.6) * base + np.sin(0.6) * along
        away = float(model.metric.distance(base, other))
        figures[f"{name}, mm"] = away
        first, second = model.vertices(base), model.vertices(other)
        angle = float(model.space.distance(base, other))
        row += [
            titled(head(model, second), "a second code", f"{np.degrees(angle):.0f} degrees away"),
            titled(heat(model, second, first, 6.0), f"seen: {away:.2f} mm", "from the first"),
        ]
    first_head = titled(head(model, model.vertices(base)), "the first code", "")
    bar = titled(color_bar(6.0, SIDE), "", "")
    write("domains.png", [first_head, *row, bar])
    figures["share of the variance in the half that shows least"] = float(values[: size // 2].sum() / values.sum())
    return figures


def predictors(model: FaceModel, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Codes (PEOPLE, PHOTOS, K) that four made predictors give for photos of the same people."""
    truth = model.space.sample(PEOPLE, rng).astype(np.float64)
    size = truth.shape[1]
    turn, _ = np.linalg.qr(rng.standard_normal((size, size)))
    wrong = truth @ turn

    def noise(scale: float) -> np.ndarray:
        return scale * rng.standard_normal((PEOPLE, PHOTOS, size))

    return {
        "truth": np.repeat(truth[:, None], PHOTOS, 1),
        "steady, not true": np.sqrt(0.9) * wrong[:, None] + noise(np.sqrt(0.1)),
        "true, not steady": 0.5 * (truth[:, None] + noise(1.0)),
        "both": 0.8 * (truth[:, None] + noise(0.5)),
        "mean face": noise(1e-3),
    }


def two_things(model: FaceModel, rng: np.random.Generator) -> dict[str, dict[str, float]]:
    """Fidelity and recognisability of made predictors, measured with the library's metrics, and what they show."""
    made = predictors(model, rng)
    truth = made["truth"]
    face = model.topology.regions["face"].astype(float)
    labels = np.repeat(np.arange(PEOPLE), PHOTOS)
    person, columns, figures = 3, [], {}
    true_heads = model.vertices(truth.reshape(-1, truth.shape[-1]))
    for name, codes in made.items():
        heads = model.vertices(codes.reshape(-1, codes.shape[-1]))
        near = shape_fidelity(heads, true_heads, face, mean=model.mean)
        embedded = model.geometry(codes.reshape(-1, codes.shape[-1]))
        alike = recognisability_of_codes(Samples(embedded, labels), bootstrap=0)
        sir, auc = alike.sir.value or 0.0, alike.auc.value or 0.0
        figures[name] = {"rms": near.rms, "slope": near.slope or 0.0, "sir": sir, "auc": auc}
        shown = heads.reshape(PEOPLE, PHOTOS, -1, 3)[person, :3]
        texts = [(), (), (name, f"{near.rms:.1f} mm, AUC {auc:.2f}")]
        columns.append([titled(head(model, one), *text) for one, text in zip(shown, texts, strict=True)])
    write("two_things.png", *([column[row] for column in columns] for row in range(3)))
    return figures


def main() -> None:
    """Write everything."""
    HERE.mkdir(exist_ok=True)
    model = FaceModel.load(asset("face_model.npz"))
    rng = np.random.default_rng(SEED)
    figures = {"sphere": sphere(model, rng), "domains": domains(model, rng), "two things": two_things(model, rng)}
    (HERE / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
