"""Less jitter without lag: measurements over time, smoothed by a filter that looks as far ahead as back.

A straight line is fitted about every frame, neighbours weighted by a Gaussian of their distance in time (local linear
regression; Cleveland, Robust locally weighted regression, 1979). It has no lag, as it treats past and future alike,
and takes uneven times as they are. What it takes away of fast movements (blinks) is given back: of a residual ``r``
to the measurement more than ``t`` is movement and not noise, and ``r - t² / r`` of it stays (Breiman's garrote,
1995), where ``t`` is :data:`CERTAIN` standard deviations of the noise, which the frames themselves tell. So nothing
is moved by more than ``t``, and what moves fast hardly at all.
"""

from __future__ import annotations

import numpy as np

WIDTH = 0.05
"""Seconds, standard deviation of the Gaussian."""

REACH = 3.0
"""Widths after which frames do not count."""

CERTAIN = 3.0
"""Standard deviations of the noise from which a residual is movement."""

TOGETHER = 8
"""Channels that are smoothed at a time: sums of all at once would be the most that a video takes of memory."""

NORMAL_MEDIAN = 0.6745
"""The median of a unit normal's absolute value: the noise is judged by the median, as movement is rarer than rest."""


def smoothed(
    times: np.ndarray, values: np.ndarray, least: float | np.ndarray = 0.0, width: float = WIDTH
) -> np.ndarray:
    """Values (N, C) at increasing times (N,), seconds, each channel smoothed by itself.

    Args:
        times: of the frames, without gaps that should not be bridged.
        values: what was measured.
        least: standard deviation of the noise that every channel (C,) has at least.
        width: seconds.

    Returns:
        (N, C), of which none is farther from ``values`` than :data:`CERTAIN` times :func:`noise_of` or ``least``.

    Raises:
        ValueError: arrays that do not fit together, or times that do not increase.
    """
    times, values = np.asarray(times, np.float64), np.asarray(values)
    if times.ndim != 1 or values.ndim != 2 or len(times) != len(values) or not (np.diff(times) > 0).all():
        raise ValueError(f"expected increasing times (N,) and values (N, C), got {times.shape} and {values.shape}")
    found = values.astype(np.float64)
    if len(times) < 3:
        return found
    least = np.broadcast_to(least, values.shape[1:])
    for first in range(0, values.shape[1], TOGETHER):
        part = slice(first, first + TOGETHER)
        found[:, part] = _smoothed(times, found[:, part], least[part], width)
    return found


def _smoothed(times: np.ndarray, values: np.ndarray, least: np.ndarray, width: float) -> np.ndarray:
    residual = values - _local_line(times, values, width)
    limit = CERTAIN * np.maximum(noise_of(times, values), least)
    fast = np.abs(residual) > limit
    kept = np.where(fast, residual - limit**2 / np.where(fast, residual, 1.0), 0.0)
    return np.asarray(values - residual + kept)


def noise_of(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Standard deviation (C,) of the noise of values (N, C), N >= 3, that is new in every frame: of how far they are
    from the line between the frames before and after, which slow movement hardly changes."""
    share = ((times[2:] - times[1:-1]) / (times[2:] - times[:-2]))[:, None]
    apart = values[1:-1] - share * values[:-2] - (1 - share) * values[2:]
    unit = np.abs(apart) / np.sqrt(1 + share**2 + (1 - share) ** 2)
    return np.asarray(np.median(unit, axis=0) / NORMAL_MEDIAN)


def _local_line(times: np.ndarray, values: np.ndarray, width: float) -> np.ndarray:
    """At every frame the line's value (N, C)."""
    count, channels = values.shape
    sums = np.zeros((count, 3))
    moments = np.zeros((count, 2, channels))
    for offset in range(count):
        within = False
        for step in {offset, -offset}:
            own = slice(max(0, -step), count - max(0, step))
            other = slice(max(0, step), count - max(0, -step))
            apart = times[other] - times[own]
            weight = np.where(np.abs(apart) <= REACH * width, np.exp(-0.5 * (apart / width) ** 2), 0.0)
            within = within or bool(weight.any())
            sums[own] += weight[:, None] * np.stack([np.ones_like(apart), apart, apart**2], axis=1)
            moments[own] += (weight[:, None] * np.stack([np.ones_like(apart), apart], axis=1))[..., None] * (
                values[other][:, None]
            )
        if not within:
            break
    total, first, second = sums.T
    spread = total * second - first**2
    alone = spread <= 1e-9 * total * width**2  # no neighbour within reach
    line = second[:, None] * moments[:, 0] - first[:, None] * moments[:, 1]
    return np.where(alone[:, None], values, line / np.where(alone, 1.0, spread)[:, None])
