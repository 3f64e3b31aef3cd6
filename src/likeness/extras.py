"""Optional dependencies, imported where they are used."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from typing import Any

from likeness.errors import MissingExtraError, is_out_of_memory


def one_blas_thread() -> AbstractContextManager[Any]:
    """Keep matrix products to the thread that asks for them; takes about a millisecond.

    For products of small matrices, or of blocks that have threads of our own: one that a BLAS splits once more waits
    for its threads most of the time, five to seven times slower on a machine that is busy otherwise. And for results
    that have to be the same to the last bit on any number of cores.
    """
    import threadpoolctl

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
        if is_out_of_memory(error):  # it is there, its libraries find no room
            raise MemoryError from error
        raise MissingExtraError(feature, extra) from error
