"""The one place where ONNX Runtime is opened: quietly, without its telemetry, on a known device."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from likeness.errors import FileError, StrPath, blamed_on, is_out_of_memory

GPU, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"

TELEMETRY_OFF = "ORT_DISABLE_TELEMETRY"
"""The variable that newer versions of ONNX Runtime read when they are loaded. Without it they write a device id and a
store of events into the user's cache folder."""


MAX_THREADS = 1024
"""More than any machine has cores; ONNX Runtime would start them all the same."""


def import_onnxruntime() -> Any:
    """The module ``onnxruntime``, without telemetry unless the user's environment says otherwise."""
    os.environ.setdefault(TELEMETRY_OFF, "1")
    import onnxruntime

    return onnxruntime


def has_gpu() -> bool:
    """Whether this ONNX Runtime has a GPU."""
    return GPU in import_onnxruntime().get_available_providers()


def open_session(path: StrPath, what: str, *, threads: int | None = None, gpu: bool = False) -> Any:
    """An ``onnxruntime.InferenceSession``.

    Args:
        path: the ``.onnx`` file.
        what: it should be, for messages: "a regressor".
        threads: CPU threads; None or 0: ONNX Runtime's choice.
        gpu: use one where this ONNX Runtime has it; answers may then differ in the last digits.

    Raises:
        FileError: missing or damaged.
        ValueError: a number of threads that no machine has.
    """
    if not Path(path).is_file():
        raise FileError(path, f"no such file; expected {what} (.onnx)")
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised, and told by who hears of them
    if threads is not None and not 0 <= threads <= MAX_THREADS:
        raise ValueError(f"expected 0 (all) to {MAX_THREADS} threads, got {threads}")
    if threads is not None:
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
    providers = [GPU, CPU] if gpu and has_gpu() else [CPU]
    try:
        # Its second attempt at a damaged file prints what went wrong with the first.
        return onnxruntime.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except Exception as error:  # ONNX Runtime raises its own untyped errors for damaged files
        if is_out_of_memory(error):
            raise FileError(path, "needs more memory than there is") from error
        why = (str(error).splitlines() or [type(error).__name__])[0][:160]  # some say nothing
        raise FileError(path, f"cannot be read as ONNX ({why})") from error


def describing(path: StrPath, what: str) -> AbstractContextManager[None]:
    """While a session is asked what it is: names, shapes and notes may be damaged.

    Raises:
        FileError: in place of any error within.
    """
    return blamed_on(path, what, "it does not say what it is")
