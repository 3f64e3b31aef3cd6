"""The two chunks of a binary glTF 2.0 file and what they hold, with access that trusts neither.

After the Khronos specification (glTF 2.0: 3.6.1 buffers and buffer views, 3.6.2 accessors and sparse accessors, 4.4
the GLB container) and the extensions KHR_mesh_quantization, EXT_meshopt_compression and KHR_draco_mesh_compression.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from likeness.errors import FileError, MissingExtraError, StrPath
from likeness.extras import import_extra
from likeness.readers import read_json

COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_NO_GEOMETRY = (
    *("KHR_materials_", "KHR_texture_", "EXT_texture_", "MSFT_texture_", "EXT_materials_", "ADOBE_materials_"),
    *("KHR_lights_", "EXT_lights_", "KHR_animation_pointer", "KHR_xmp", "KHR_audio", "VRM"),
)
_MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression")
_DRACO = "KHR_draco_mesh_compression"
_UNDERSTOOD = ("KHR_mesh_quantization", *_MESHOPT, _DRACO)
SMALL, GROWTH = 64_000_000, 200
"""Bytes that any compressed part may claim, and how many times its own size: the codecs' own limit is about 64."""


class Document:
    """A GLB file taken apart.

    Args:
        path: the file, for messages.
        data: its content.

    Raises:
        FileError: no GLB 2.0, cut short, or with an extension that changes the geometry and is not understood.
    """

    def __init__(self, path: StrPath, data: bytes) -> None:
        self.path = path
        if len(data) < 20 or data[:4] != b"glTF":
            raise FileError(path, "expected a GLB file (binary glTF), it does not begin like one")
        version, total, length = struct.unpack_from("<III", data, 4)
        if version != 2:
            raise FileError(path, f"expected glTF version 2, got {version}")
        if total > len(data) or 20 + length > total or data[16:20] != b"JSON":
            raise FileError(path, f"cut short or damaged: expected {total} bytes, got {len(data)}")
        self.size = total
        described = data[20 : 20 + length].rstrip(b"\0")  # it should be filled up with blanks; many take 0
        self.json = read_json(path, "a GLB file's description", described)
        self.binary = memoryview(b"")
        at = 20 + length
        if at + 8 <= total and data[at + 4 : at + 8] == b"BIN\0":
            size = struct.unpack_from("<I", data, at)[0]
            if at + 8 + size > total:
                raise FileError(path, f"cut short: expected {size} bytes of binary data, got {total - at - 8}")
            self.binary = memoryview(data)[at + 8 : at + 8 + size]
        required = [str(name) for name in self.json.get("extensionsRequired", [])]
        unknown = [name for name in required if name not in _UNDERSTOOD and not name.startswith(_NO_GEOMETRY)]
        if unknown:
            raise FileError(path, f"expected a plain GLB file, got one that needs {', '.join(unknown)[:80]}")
        self._unpacked: dict[int, memoryview] = {}

    @property
    def most(self) -> int:
        """Rows that accessors without data, or meshes that many nodes share, may come to."""
        return max(1_000_000, 2 * self.size)

    def item(self, kind: str, index: object) -> dict[str, Any]:
        """``document[kind][index]``, an object; the index must be one."""
        items = self.json.get(kind, [])
        found = items[whole(index)]
        if not isinstance(found, dict):
            raise ValueError(f"{kind} {index} is no object")
        return found

    def blob(self, index: object) -> memoryview:
        """The bytes of a buffer view, not copied; unpacked where meshopt packed them.

        Raises:
            FileError: meshopt's library is needed and not installed.
        """
        view = self.item("bufferViews", index)
        extensions = view.get("extensions", {})
        packed = next((extensions[name] for name in _MESHOPT if name in extensions), None)
        if packed is None:
            return self._bytes(view, index)
        if whole(index) not in self._unpacked:
            self._unpacked[whole(index)] = _unpacked(self.path, self._bytes(packed, index), packed)
        return self._unpacked[whole(index)]

    def _bytes(self, view: dict[str, Any], index: object) -> memoryview:
        if whole(view["buffer"]) != 0 or "uri" in self.item("buffers", 0):
            raise ValueError("geometry outside the file is not supported")
        start, length = whole(view.get("byteOffset", 0)), whole(view["byteLength"])
        if start + length > len(self.binary):
            raise ValueError(f"buffer view {index} ends behind the data")
        return self.binary[start : start + length]

    def rows(self, index: object, offset: object, kind: object, width: int, count: int) -> np.ndarray:
        """(count, width) numbers from a buffer view, one row every byteStride."""
        blob, dtype = self.blob(index), np.dtype(COMPONENTS[whole(kind)])
        stride = whole(self.item("bufferViews", index).get("byteStride", 0)) or dtype.itemsize * width
        start = whole(offset)
        if count and start + stride * (count - 1) + dtype.itemsize * width > len(blob):
            raise ValueError(f"buffer view {index} is too short for {count} rows")
        return np.ndarray(
            (count, width), dtype, blob if count else b"", start if count else 0, (stride, dtype.itemsize)
        )

    def accessor(self, index: object, widths: tuple[int, ...], count: int | None = None) -> np.ndarray:
        """An accessor's rows; normalized integers as floats. ``count`` is demanded where the caller knows it."""
        spec = self.item("accessors", index)
        width, n = _WIDTHS[spec["type"]], whole(spec["count"])
        if width not in widths or (count is not None and n != count):
            raise ValueError(f"accessor {index} is {n} x {spec['type']}, expected {count or 'any number'} of others")
        kind = spec["componentType"]
        if "bufferView" in spec:
            values = self.rows(spec["bufferView"], spec.get("byteOffset", 0), kind, width, n)
        elif count is None and ("sparse" not in spec or n > self.most):  # zeros: a small file can claim any number
            raise ValueError(f"accessor {index} has no data")
        else:
            values = np.zeros((n, width), dtype=COMPONENTS[whole(kind)])
        if "sparse" in spec:
            sparse = spec["sparse"]
            some, where, what = whole(sparse["count"]), sparse["indices"], sparse["values"]
            places = self.rows(where["bufferView"], where.get("byteOffset", 0), where["componentType"], 1, some)
            values = values.copy()
            values[places.ravel()] = self.rows(what["bufferView"], what.get("byteOffset", 0), kind, width, some)
        return self.numbers(index, values)

    def numbers(self, index: object, values: np.ndarray) -> np.ndarray:
        """An accessor's values as it means them: normalized integers in [-1, 1]."""
        if self.item("accessors", index).get("normalized") and values.dtype.kind in "iu":
            return np.maximum(values / np.iinfo(values.dtype).max, -1)
        return values

    def draco(self, primitive: dict[str, Any]) -> Draco | None:
        """A primitive's geometry as Draco packed it; None where it is not packed, or is there unpacked as well.

        Raises:
            FileError: Draco's library is needed and not installed.
        """
        packed = primitive.get("extensions", {}).get(_DRACO)
        if packed is None or "bufferView" in self.item("accessors", primitive["attributes"]["POSITION"]):
            return None
        library = _library(self.path, "DracoPy", "Draco")
        data = bytes(self.blob(packed["bufferView"]))
        try:
            return Draco(library.decode(data), packed["attributes"])
        except Exception as error:  # it has errors of its own, and more
            raise ValueError(f"Draco data cannot be unpacked ({error})") from error


class Draco:
    """A primitive that Draco packed, unpacked.

    Attributes:
        corners: (3 F,) vertex indices.
    """

    def __init__(self, mesh: Any, attributes: dict[str, Any]) -> None:
        self._mesh, self._attributes = mesh, attributes
        self.corners = np.asarray(mesh.faces, np.int64).ravel()

    def attribute(self, name: str) -> np.ndarray:
        """(N, width) values of one of glTF's attributes, integers not yet normalized."""
        found = self._mesh.get_attribute_by_unique_id(whole(self._attributes[name]))
        values = np.asarray(found["data"])
        return values.reshape(len(values), -1)


def whole(value: object) -> int:
    """A whole number of JSON, at least 0; ValueError otherwise."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"expected a whole number, got {str(value)[:40]}")
    return value


def _library(path: StrPath, module: str, codec: str) -> Any:
    try:
        return import_extra(module, f"geometry that is packed with {codec}", "meshes")
    except MissingExtraError as error:
        raise FileError(path, str(error)) from error


def _unpacked(path: StrPath, data: memoryview, packed: dict[str, Any]) -> memoryview:
    """The bytes of a buffer view that meshopt packed."""
    count, stride = whole(packed["count"]), whole(packed["byteStride"])
    if count * stride > max(SMALL, GROWTH * len(data)):
        raise ValueError(f"packed data of {len(data)} bytes claim {count} rows of {stride}")
    library = _library(path, "meshopt", "meshopt")
    mode, filtering = packed["mode"], packed.get("filter", "NONE")
    try:
        values = library.decode_gltf_buffer(bytes(data), count, stride, mode, filtering)
    except Exception as error:  # it has errors of its own, and more
        raise ValueError(f"meshopt data cannot be unpacked ({error})") from error
    if mode != "ATTRIBUTES":
        values = np.asarray(values).astype(f"<u{stride}")
    return memoryview(np.ascontiguousarray(values).tobytes())
