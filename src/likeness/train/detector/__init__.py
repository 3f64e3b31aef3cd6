"""The face detector: its pictures, network and loop."""

from likeness.train import needs_torch  # noqa: F401
