"""Optional dependencies, imported where they are used."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from likeness.errors import MissingExtraError


def one_blas_thread() -> AbstractContextManager[Any]:
    """Keep matrix products to the thread that asks for them, where threadpoolctl is there (with scikit-learn it is).

    For products of small matrices, or of blocks that have threads of our own: one that a BLAS splits once more waits
    for its threads most of the time, five to seven times slower on a machine that is busy otherwise.
    """
    try:
        threadpoolctl = importlib.import_module("threadpoolctl")
    except ImportError:
        return nullcontext()
    return threadpoolctl.threadpool_limits(1, user_api="blas")


def import_extra(name: str, feature: str = "registration", extra: str = "scans") -> Any:
    """A module of an optional dependency, imported at its first use.

    Args:
        name: of the module, dotted.
        feature: what needs it, as a user would say it.
        extra: of this package's, which installs it.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(feature, extra) from error
