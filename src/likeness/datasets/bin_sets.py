"""The `.bin` sets of the face-recognition world (lfw, cfp_fp, agedb_30 ...), read without running anything in them.

Such a file is a Python pickle of ``(images, same)``: 2 n encoded images, those of pair k at 2 k and 2 k + 1, and n
booleans. Unpickling calls whatever the file names. Here the pickle is only *parsed* (by the standard library's
``pickletools``), and a small machine interprets the dozen operations that lists, bytes, numbers and NumPy arrays of
bytes or booleans need. It can build nothing else and calls nothing, so a hostile file is at worst refused.
"""

from __future__ import annotations

import io
import pickletools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.metrics.records import Pairs, contiguous_folds

MAX_BYTES = 1 << 30
MAX_ITEMS = 4_000_000
"""Operations in a file: the largest set (IJB excepted, which has another format) needs about 100,000."""

_BROKEN = (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, RecursionError, MemoryError)
"""What operands that an operation cannot use raise."""


@dataclass(frozen=True, eq=False)
class BinSet:
    """A verification set.

    Args:
        images: 2 n encoded images (JPEG or PNG).
        pairs: n pairs; image i is called ``f"{i:06d}"``; ten folds of consecutive pairs.
        path: the file.
    """

    images: tuple[bytes, ...]
    pairs: Pairs
    path: str


def read_bin(path: StrPath) -> BinSet:
    """Read a `.bin` set; nothing in the file is executed.

    Raises:
        FileError: missing, over ``MAX_BYTES``, cut short, a pickle that needs anything but containers, bytes, numbers
            and byte arrays, or one that does not hold 2 n images and n booleans.
    """
    source = Path(path)
    if not source.is_file():
        raise FileError(path, "no such file; expected a verification set (.bin)")
    if source.stat().st_size > MAX_BYTES:
        raise FileError(path, f"is over {MAX_BYTES >> 20} MiB; expected a verification set (.bin)")
    try:
        value = _Machine().run(source.read_bytes())
        images, same = _images_and_same(value)
    except _BROKEN as error:
        raise FileError(path, f"expected a verification set (.bin): {error or type(error).__name__}") from error
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror or error})") from error
    names = tuple(f"{number:06d}" for number in range(len(images)))
    pairs = Pairs(names[::2], names[1::2], np.array(same, bool), contiguous_folds(len(same)))
    return BinSet(images, pairs, str(path))


def _images_and_same(value: Any) -> tuple[tuple[bytes, ...], list[bool]]:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"got {_kind(value)} instead of (images, same)")
    images, same = (_items(part) for part in value)
    if not same or len(images) != 2 * len(same):
        raise ValueError(
            f"got {len(images)} images for {len(same)} pairs; two each, and at least one pair, are needed"
        )
    encoded: list[bytes] = []
    size = 0
    for number, image in enumerate(images):
        encoded.append(_bytes_of(image, number))
        size += len(encoded[-1])
        if size > MAX_BYTES:  # one array may be listed many times
            raise ValueError(f"images of more than {MAX_BYTES} bytes")
    for number, alike in enumerate(same):
        if not isinstance(alike, (bool, int)) or alike not in (0, 1):
            raise ValueError(f"pair {number} is {_kind(alike)} instead of same or not")
    return tuple(encoded), [bool(alike) for alike in same]


def _items(part: Any) -> list[Any]:
    if isinstance(part, _Array):
        return part.numpy().tolist()
    if not isinstance(part, (list, tuple)):
        raise ValueError(f"got {_kind(part)} instead of a list")
    return [bool(item.numpy()) if isinstance(item, _Array) and item.shape == () else item for item in part]


def _bytes_of(image: Any, number: int) -> bytes:
    if isinstance(image, _Array):
        image = image.numpy().astype(np.uint8, casting="safe").tobytes()
    if not isinstance(image, (bytes, bytearray)) or not image:
        raise ValueError(f"image {number} is {_kind(image)} instead of encoded bytes")
    return bytes(image)


def _kind(value: Any) -> str:
    return (
        f"an empty {type(value).__name__}" if value in (b"", "") else f"a {type(value).__name__.strip('_').lower()}"
    )


@dataclass(frozen=True)
class _Global:
    """A name in the file: nothing is imported for it."""

    name: str


@dataclass
class _Dtype:
    code: str = ""


@dataclass
class _Array:
    """What the file says of a NumPy array or scalar, checked only when it is made into one."""

    shape: tuple[int, ...] = ()
    code: str = ""
    raw: bytes = b""

    def numpy(self) -> np.ndarray:
        code = self.code.lstrip("<|=")
        if code not in ("u1", "b1", "i1", "i4", "i8", "u4", "u8"):
            raise ValueError(f"got an array of type {self.code[:20]!r} instead of bytes or booleans")
        return np.frombuffer(self.raw, np.dtype(code)).reshape(self.shape)


_ARRAY_MAKERS = {f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")} | {
    f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")
}
_SCALARS = {f"numpy.{core}.multiarray.scalar" for core in ("core", "_core")}
_BYTES = {"builtins.bytes", "__builtin__.bytes", "builtins.bytearray", "__builtin__.bytearray"}
_KNOWN = {*_ARRAY_MAKERS, *_SCALARS, *_BYTES, "numpy.dtype", "numpy.ndarray", "_codecs.encode"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_IGNORED = {"PROTO", "FRAME", "STOP"}
_VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
}  # fmt: skip
_OLD_BYTES = {"STRING", "BINSTRING", "SHORT_BINSTRING"}  # Python 2's strings, which pickletools reads as Latin-1
_EMPTY = {"EMPTY_LIST": list, "EMPTY_TUPLE": tuple}


class _Machine:
    """Interprets the operations of a pickle that only builds containers, bytes, numbers and arrays of them."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.copied, self.limit = 0, 0

    def run(self, data: bytes) -> Any:
        """The value that the pickle describes; ValueError for anything else."""
        self.limit = len(data)
        for number, (operation, argument, _) in enumerate(pickletools.genops(io.BytesIO(data))):
            if number > MAX_ITEMS:
                raise ValueError(f"more than {MAX_ITEMS} items")
            name = operation.name
            if name in _VALUES:
                self.stack.append(argument)
            elif name in _OLD_BYTES:
                self.stack.append(str(argument).encode("latin-1"))
            elif name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name])
            elif name in _EMPTY:
                self.stack.append(_EMPTY[name]())
            elif name not in _IGNORED:
                step = getattr(self, f"_{name.lower()}", None)
                if step is None:
                    raise ValueError(f"operation {name} has no place in one")
                step(argument)
        if len(self.stack) != 1:
            raise ValueError(f"{len(self.stack)} values instead of one")
        return self.stack[0]

    def _take(self, count: int) -> list[Any]:
        if count > len(self.stack) - (self.marks[-1] if self.marks else 0):
            raise ValueError("an operation lacks its operands")
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def _since_mark(self) -> list[Any]:
        if not self.marks:
            raise ValueError("an operation lacks its mark")
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def _mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def _list(self, _: Any) -> None:
        self.stack.append(self._since_mark())

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._since_mark()))

    def _tuple1(self, _: Any) -> None:
        self.stack.append(tuple(self._take(1)))

    def _tuple2(self, _: Any) -> None:
        self.stack.append(tuple(self._take(2)))

    def _tuple3(self, _: Any) -> None:
        self.stack.append(tuple(self._take(3)))

    def _extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise ValueError(f"items for {_kind(target)}")
        target.extend(items)

    def _append(self, _: Any) -> None:
        self._extend(self._take(1))

    def _appends(self, _: Any) -> None:
        self._extend(self._since_mark())

    def _memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def _get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    _binput = _long_binput = _put
    _binget = _long_binget = _get

    def _pop(self, _: Any) -> None:
        self._take(1)

    def _global(self, argument: str) -> None:
        self._name(argument.replace(" ", "."))

    def _stack_global(self, _: Any) -> None:
        self._name(".".join(str(part) for part in self._take(2)))

    def _name(self, name: str) -> None:
        if name not in _KNOWN:
            raise ValueError(f"it wants to run {name[:60]!r}; refused")
        self.stack.append(_Global(name))

    def _reduce(self, _: Any) -> None:
        function, arguments = self._take(2)
        name = function.name if isinstance(function, _Global) else ""
        if name in _ARRAY_MAKERS and isinstance(arguments[0], _Global):
            self.stack.append(_Array())  # _reconstruct: its state follows
        elif name in _ARRAY_MAKERS:  # _frombuffer, protocol 5
            raw, dtype, shape, _ = arguments
            self.stack.append(_Array(tuple(shape), dtype.code, self._copy(raw)))
        elif name == "numpy.dtype":
            code = arguments[0]
            self.stack.append(_Dtype(code.decode("latin-1") if isinstance(code, bytes) else str(code)))
        elif name in _SCALARS:
            self.stack.append(_Array((), arguments[0].code, self._copy(arguments[1])))
        elif name == "_codecs.encode" and str(arguments[1]) == "latin1":
            self.stack.append(self._copy(arguments[0]))
        elif name in _BYTES and not arguments:
            self.stack.append(b"")
        else:
            raise ValueError(f"it wants to call {name or _kind(function)!r}; refused")

    def _build(self, _: Any) -> None:
        target, state = self._take(2)
        self.stack.append(target)
        if isinstance(target, _Array):
            _, shape, dtype, _, raw = state
            target.shape, target.code, target.raw = tuple(shape), dtype.code, self._copy(raw)
        elif not isinstance(target, _Dtype) or state[1] in (">", b">"):  # a dtype's state is its byte order
            raise ValueError(f"a state for {_kind(target)}")

    def _copy(self, value: Any) -> bytes:
        """The bytes of a value; in all no more than the file has, or one string could be copied a million times."""
        if isinstance(value, bytes):
            return value
        raw = value.encode("latin-1") if isinstance(value, str) else bytes(memoryview(value))
        self.copied += len(raw)
        if self.copied > self.limit:
            raise ValueError("more bytes than the file holds")
        return raw
