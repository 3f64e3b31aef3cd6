"""What training minimises, and the learned bases it may change."""

from likeness.train import needs_torch  # noqa: F401
