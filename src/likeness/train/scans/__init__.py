"""The identity space, trained on registered meshes."""

from likeness.train import needs_torch  # noqa: F401
