"""The network that reads photographs: samples, loop, validation, export."""

from likeness.train import needs_torch  # noqa: F401
