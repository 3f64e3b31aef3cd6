"""Pickles taken apart, never run: FLAME's ``.pkl`` (NumPy, SciPy and chumpy objects) and FaceVerse's ``.npy``.

A pickle is a program. Here every class or function that it may name is replaced by an inert :class:`Record`, which
only notes the arguments and the state that the program hands it; any other name is refused. What the records mean
is worked out afterwards, by :func:`as_array`, from NumPy's published ``__reduce__`` layout
(``numpy/core/src/multiarray``: ``_reconstruct`` and ``(version, shape, dtype, is_fortran, data)``), with every size
checked first. Neither NumPy's nor SciPy's own unpickling code, nor chumpy, is called.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.readers import array_of_bytes

_CORES = ("numpy.core.", "numpy._core.")
_RECONSTRUCT = tuple(f"{core}multiarray._reconstruct" for core in _CORES)
_SCALAR = tuple(f"{core}multiarray.scalar" for core in _CORES)
_FROM_BUFFER = tuple(f"{core}numeric._frombuffer" for core in _CORES)
_REBUILD = ("copy_reg._reconstructor", "copyreg._reconstructor")
_CHUMPY = "chumpy.ch.Ch"
_ALLOWED = {
    *_RECONSTRUCT,
    *_SCALAR,
    *_FROM_BUFFER,
    *_REBUILD,
    _CHUMPY,
    "numpy.ndarray",
    "numpy.dtype",
    "_codecs.encode",
    "collections.OrderedDict",  # with the next two, a tensor in landmarks of DECA
    "torch._utils._rebuild_tensor_v2",
    "torch.storage._load_from_bytes",
    *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("object", "bytes", "bytearray")),
    *(f"scipy.sparse.{m}.{k}_{c}" for k in ("csc", "csr", "coo") for m in (k, f"_{k}") for c in ("matrix", "array")),
}
_INSTRUCTIONS = {operation.code: operation for operation in pickletools.opcodes}
_DEEPEST = 8  # arrays within chumpy arrays within ...


class Record:
    """A pickled object taken apart: which class or function (``kind``), the arguments, and the state given later."""

    __slots__ = ("args", "state")
    kind = ""
    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any) -> Record:
        record = object.__new__(cls)
        record.args, record.state = args, None
        return record

    def __setstate__(self, state: Any) -> None:
        self.state = state

    @property
    def origin(self) -> str:
        """The class that it is an instance of, also where protocols 0 and 1 rebuild it by a function."""
        if self.kind in _REBUILD and self.args and isinstance(self.args[0], type):
            return str(getattr(self.args[0], "kind", ""))
        return self.kind


class _Inert(pickle.Unpickler):
    """Gives out classes of records, made anew for each pickle so that none can leave a mark on the next."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._classes: dict[str, type[Record]] = {}

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full not in _ALLOWED:
            raise pickle.UnpicklingError(
                f"names {full[:80]!r}, which is neither a NumPy, SciPy nor chumpy array; refused"
            )
        if full not in self._classes:
            self._classes[full] = type("Record", (Record,), {"kind": full, "__slots__": ()})
        return self._classes[full]


def load_pickle(path: StrPath, data: bytes, most: int | None = None) -> Any:
    """What is in a pickle: dicts, lists, numbers, text, and records in place of all objects.

    A record of an object array comes back as its object (without dimensions) or as a NumPy array of objects.

    Args:
        path: for messages.
        data: the pickle.
        most: instructions that it may have; None: any number.

    Raises:
        FileError: truncated, damaged, too long, or it names anything that is not an array.
    """
    try:
        _check_instructions(data, most)
        value = _Inert(data).load()
        if isinstance(value, Record):
            return _objects(value)
    except Exception as error:  # the pickle module raises a dozen types for damaged files
        reason = str(error).replace("\n", " ")[:160]
        raise FileError(path, f"expected a pickle of arrays ({type(error).__name__}: {reason})") from error
    return value


def _check_instructions(data: bytes, most: int | None) -> None:
    """Refuses memo numbers beyond the number of instructions: the unpickler allocates a table up to the highest."""
    for count, (name, argument) in enumerate(_operations(data)):
        if most is not None and count > most:
            raise pickle.UnpicklingError(f"more than {most} instructions")
        if "PUT" in name and isinstance(argument, int) and argument > count:
            raise pickle.UnpicklingError(f"memo entry {argument} after {count} instructions")


def _operations(data: bytes) -> Iterator[tuple[str, Any]]:
    """Name and argument of each instruction, as ``pickletools.genops``, which takes text of protocol 0 for ASCII:
    there Python 2 wrote an array's bytes."""
    stream = io.BytesIO(data)
    while True:
        code = stream.read(1)
        operation = _INSTRUCTIONS.get(code.decode("latin1"))
        if operation is None:
            raise pickle.UnpicklingError(f"no instruction {code!r} at byte {stream.tell() - len(code)}")
        argument = None
        if operation.name == "STRING":
            stream.readline()
        elif operation.arg is not None:
            argument = operation.arg.reader(stream)
        yield operation.name, argument
        if operation.name == "STOP":
            return


def _objects(record: Record) -> Any:
    """The elements of a record of an object array; other records unchanged."""
    if record.kind not in _RECONSTRUCT or not isinstance(record.state, tuple):
        return record
    shape, kind, _, elements = record.state[-4:]
    if not (isinstance(kind, Record) and str(kind.args[0]).startswith("O")):
        return record
    if not isinstance(elements, list) or math.prod(_shape(shape)) != len(elements):
        raise ValueError("an object array whose elements do not fit its shape")
    values = np.empty(len(elements), object)
    for index, element in enumerate(elements):  # an assignment at once would look into elements that are lists
        values[index] = element
    return values.reshape(shape)


def as_array(value: Any, depth: int = 0) -> np.ndarray:
    """The numeric or text array that a record, a chumpy record, or a plain number stands for; a view, read-only.

    Raises:
        ValueError: it stands for none, or its parts contradict each other.
    """
    if isinstance(value, (int, float)):
        return np.asarray(value)
    if isinstance(value, np.ndarray) and value.dtype == object and value.ndim:
        return np.array([as_array(item, depth + 1) for item in value.ravel()]).reshape(value.shape)
    if not isinstance(value, Record) or depth > _DEEPEST:
        raise ValueError(f"expected an array, got {type(value).__name__}")
    if value.origin == _CHUMPY:
        if not isinstance(value.state, dict) or "x" not in value.state:
            raise ValueError("expected a chumpy array with its numbers ('x')")
        return as_array(value.state["x"], depth + 1)
    if value.kind in _RECONSTRUCT and isinstance(value.state, tuple) and len(value.state) >= 4:
        shape, kind, fortran, data = value.state[-4:]
        return _array(shape, kind, bool(fortran), data)
    if value.kind in _FROM_BUFFER and len(value.args) == 4:
        data, kind, shape, order = value.args
        return _array(shape, kind, order == "F", data)
    if value.kind in _SCALAR and len(value.args) == 2:
        return _array((), value.args[0], False, value.args[1])
    raise ValueError(f"expected an array, got {value.kind}")


def as_bytes(value: Any) -> bytes:
    """Bytes in whatever way a pickle of any protocol, from Python 2 or 3, holds them; arrays of bytes too.

    Raises:
        ValueError: something else.
    """
    if isinstance(value, Record) and value.kind.rpartition(".")[2] in ("encode", "bytes", "bytearray"):
        value = value.args[0] if value.args else b""
    if isinstance(value, Record):
        return as_array(value).astype(np.uint8, casting="safe").tobytes()
    if isinstance(value, str):
        return value.encode("latin1")
    if not isinstance(value, (bytes, bytearray)):
        raise ValueError(f"expected bytes, got {type(value).__name__}")
    return bytes(value)


def as_names(value: Any) -> tuple[str, ...]:
    """Names from a list, a tuple or an array of text.

    Raises:
        ValueError: something else.
    """
    if isinstance(value, Record):
        value = _objects(value)
        value = as_array(value) if isinstance(value, Record) else value
    if isinstance(value, np.ndarray):
        value = value.ravel().tolist()
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"expected names, got {type(value).__name__}")
    names = tuple(item.decode("latin1") if isinstance(item, bytes) else item for item in value)
    if not all(isinstance(name, str) for name in names):
        raise ValueError("expected names")
    return names


def _array(shape: Any, kind: Any, fortran: bool, data: Any) -> np.ndarray:
    return array_of_bytes(as_bytes(data), _dtype(kind), _shape(shape), fortran)


def _shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape) or len(shape) > 8:
        raise ValueError("expected an array's shape as a tuple of whole numbers")
    return shape


def _dtype(record: Any) -> np.dtype:
    if not isinstance(record, Record) or record.kind != "numpy.dtype" or not record.args:
        raise ValueError("expected an array's type as numpy.dtype")
    code = str(record.args[0])
    if not re.fullmatch(r"[<>|=]?(b1|[iu][1248]|f[248]|[SU]\d{1,6})", code):
        raise ValueError(f"expected an array of numbers or text, got type {code[:20]!r}")
    order = record.state[1] if isinstance(record.state, tuple) and len(record.state) > 1 else None
    return np.dtype(order + code.lstrip("<>|=") if order in ("<", ">") else code)
