"""A performance as a table in the layout that Live Link Face, Epic's app for Apple's face tracking, records.

A row a frame: ``Timecode`` (HH:MM:SS:FF.fff, with the part of a frame after the point), ``BlendShapeCount`` (61), the
52 ARKit weights with a capital first letter in the app's order (Apple's, but right before left for jaw and mouth),
then yaw, pitch and roll of the head and of both eyes, radians. The app's signs are not documented; here they are this
package's: yaw > 0 to the subject's left, pitch > 0 up, roll > 0 to the left shoulder.
"""

from __future__ import annotations

import numpy as np

from likeness.geometry.rotation import euler_from_rotation
from likeness.model.face_model import ARKIT_NAMES

_SWAPPED = {"jawLeft": "jawRight", "jawRight": "jawLeft", "mouthLeft": "mouthRight", "mouthRight": "mouthLeft"}
WEIGHTS = tuple(_SWAPPED.get(name, name) for name in ARKIT_NAMES)
"""The 52 weights in the app's order."""

ROTATIONS = tuple(f"{part}{angle}" for part in ("Head", "LeftEye", "RightEye") for angle in ("Yaw", "Pitch", "Roll"))
GAZE = np.radians(30.0)
"""How far an eye is turned by a gaze weight of 1: a convention, as Apple's weights have no documented angle."""

COLUMNS = ("Timecode", "BlendShapeCount", *(name[0].upper() + name[1:] for name in WEIGHTS), *ROTATIONS)


def live_link_csv(
    times: np.ndarray, rate: float, expression: np.ndarray, head: np.ndarray, eyes: np.ndarray
) -> bytes:
    """The content of the file.

    Args:
        times: (N,) seconds.
        rate: frames a second, for the frames of the timecode.
        expression: (N, 52) weights in :data:`likeness.ARKIT_NAMES`' order.
        head: (N, 3, 3) the head's rotation in model axes, 1 where it looks into the camera.
        eyes: (N, 2, 2) yaw and pitch of the left and of the right eye, radians.

    Raises:
        ValueError: arrays that do not fit together.
    """
    count = len(times)
    shapes = np.shape(expression), np.shape(head), np.shape(eyes)
    if shapes != ((count, len(ARKIT_NAMES)), (count, 3, 3), (count, 2, 2)):
        raise ValueError(f"expected weights (N, 52), rotations (N, 3, 3) and eyes (N, 2, 2), got {shapes}")
    order = [ARKIT_NAMES.index(name) for name in WEIGHTS]
    gaze = np.concatenate([eyes, np.zeros((count, 2, 1))], axis=2).reshape(count, 6)
    values = np.concatenate([np.asarray(expression)[:, order], euler_from_rotation(head), gaze], axis=1)
    found = bytearray((",".join(COLUMNS) + "\n").encode())  # a text of lines would take four times the memory
    for time, row in zip(times, values, strict=True):
        numbers = ",".join(f"{value + 0.0:.8f}" for value in row)
        found += f"{timecode(float(time), rate)},{len(row)},{numbers}\n".encode()
    return bytes(found)


def timecode(seconds: float, rate: float) -> str:
    """HH:MM:SS:FF.fff of a time; frames are counted within the second at the whole rate next to ``rate``."""
    base = max(1, round(rate))
    second, thousandths = divmod(round(seconds * base * 1000), base * 1000)
    frame, part = divmod(thousandths, 1000)
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}:{frame:02d}.{part:03d}"


def gaze_angles(expression: np.ndarray) -> np.ndarray:
    """Yaw and pitch (N, 2, 2) of the left and of the right eye, radians, that weights (N, 52) stand for
    (:data:`GAZE`)."""
    weights = dict(zip(ARKIT_NAMES, np.asarray(expression, np.float64).T, strict=True))
    yaw = {
        "Left": weights["eyeLookOutLeft"] - weights["eyeLookInLeft"],  # outwards is to the subject's left
        "Right": weights["eyeLookInRight"] - weights["eyeLookOutRight"],
    }
    turns = [
        np.stack([yaw[side], weights[f"eyeLookUp{side}"] - weights[f"eyeLookDown{side}"]], axis=-1) for side in yaw
    ]
    return np.asarray(GAZE * np.stack(turns, axis=1))
