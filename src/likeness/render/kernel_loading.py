"""Loads the Warp kernels of `likeness.render.kernels`: late, once, and without a word on the standard streams."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from typing import Any

_loading = threading.Lock()


@functools.cache
def load_kernels() -> tuple[Any, Any]:
    """Import Warp and the kernels: (warp, likeness.render.kernels).

    At the first use on a machine Warp compiles them for its CPU (about 3 s) and keeps the result in its cache
    folder (``WARP_CACHE_PATH``, else the user's); where that cannot be written, every process compiles anew.
    """
    with _loading:
        import warp as wp

        with _quiet(wp):
            with _without_driver_warning():
                _init(wp)
            from likeness.render import kernels as raster_kernels

            wp.load_module(raster_kernels, device="cpu", block_dim=1)
        return wp, raster_kernels


def select_device(name: str | None) -> Any:
    """The Warp device of that name ("cpu", "cuda", "cuda:1"; None: the CPU), the kernels loaded on it.

    Raises:
        ValueError: there is no such device.
    """
    wp, kernels = load_kernels()
    # Asked for CUDA where there is none, Warp would print errors of its own before it raises.
    known = [str(device) for device in wp.get_devices()]
    if name is not None and name not in known and not (name == "cuda" and wp.is_cuda_available()):
        raise ValueError(f"expected one of the devices {', '.join(known)}, got {name!r}")
    device = wp.get_device("cpu" if name is None else name)
    if not device.is_cpu:
        with _loading, _quiet(wp):
            wp.load_module(kernels, device=device)
    return device


def _init(wp: Any) -> None:
    try:
        wp.init()
    except OSError as error:
        folder = tempfile.mkdtemp(prefix="likeness-kernels-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        warnings.warn(
            f"{error.filename or 'the cache folder'}: cannot be written, so the renderer is compiled in every "
            "process; set WARP_CACHE_PATH to a folder that can",
            RuntimeWarning,
            stacklevel=2,
        )
        wp.config.kernel_cache_dir = folder
        wp.init()


@contextlib.contextmanager
def _quiet(wp: Any) -> Iterator[None]:
    """Warp without greetings and compiler messages; the caller's own settings come back."""
    # Which settings exist depends on Warp's version.
    wanted = {"log_level": wp.LOG_ERROR} if hasattr(wp.config, "log_level") else {"quiet": True}
    # Compiling the headers first would pay for itself with a second module only.
    wanted["use_precompiled_headers"] = False
    before = {name: getattr(wp.config, name) for name in wanted if hasattr(wp.config, name)}
    for name in before:
        setattr(wp.config, name, wanted[name])
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(wp.config, name, value)


@contextlib.contextmanager
def _without_driver_warning() -> Iterator[None]:
    """Hold back what is written to the standard error's file, then write all but one line of it.

    Warp's C code prints that line where there is no NVIDIA driver, whatever its log level.
    """
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        real = os.dup(2)
    except OSError:  # no standard error: nothing to hold back
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            os.close(real)
            held.seek(0)
            for line in held:
                if b"NVIDIA CUDA driver" not in line:
                    os.write(2, line)
