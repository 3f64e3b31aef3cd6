"""PLY, ascii and binary, read and written (Greg Turk's format, 1994).

Both encodings go through one decoder: the numbers of an ascii body are turned into a binary body of doubles first.
Nothing is allocated on a header's word: what it claims is held against the bytes that are there.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import read_bytes, without_mark, write_atomically
from likeness.mesh.checks import blaming
from likeness.mesh.defects import Defects, reported, usable_fields
from likeness.mesh.fields import MeshFields
from likeness.mesh.numbers import floats
from likeness.mesh.polygons import cut_polygons, cut_strip, polygon_corners

_TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
    **{"float": "f4", "double": "f8", "float32": "f4", "float64": "f8"},
}
_ORDERS = {"ascii": "<", "binary_little_endian": "<", "binary_big_endian": ">"}
_MAX_HEADER = 1 << 20
_UV_NAMES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"))
_CORNER_NAMES = ("vertex_indices", "vertex_index")
_COLOR_NAMES = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))


@dataclass(frozen=True)
class _Property:
    """One property: the declared type of its values and how body and, for a list, length are stored."""

    name: str
    declared: np.dtype
    stored: np.dtype
    length: np.dtype | None = None


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    properties: tuple[_Property, ...]


@dataclass(frozen=True)
class _Column:
    """A property's values, all rows in a row, and how many each row has (None: one)."""

    declared: np.dtype
    values: np.ndarray
    counts: np.ndarray | None


def read_ply(path: StrPath) -> MeshFields:
    """Read a PLY file: ascii, binary little- or big-endian.

    Taken: vertex positions (float32 stays so, everything else becomes float64), vertex colours (integers are divided
    by their type's largest value), uv per vertex (``s t``, ``u v`` or ``texture_u texture_v``), and faces with any
    number of corners, or triangle strips (``tristrips``), which end at a -1. Other properties and elements are
    skipped, as are values that a line of an ascii file has beyond the declared ones. Without faces, a mesh without
    triangles.

    Left out with a :class:`likeness.FileWarning`: colours and uv that make no sense, faces of fewer than three
    corners, and vertices that are no numbers and that no face has.

    Raises:
        FileError: unreadable, cut short, or not as its header says.
    """
    data = without_mark(read_bytes(path))
    order, ascii_body, elements, start = _read_header(path, data)
    body = data[start:]
    columns = _ascii_columns(path, elements, body) if ascii_body else _columns(path, elements, body, order)[0]
    faces = columns.get("face") or _strip_faces(columns.get("tristrips", {}))
    with reported(path) as defects:
        return _mesh(defects, columns.get("vertex", {}), faces)


def _columns(
    path: StrPath, elements: list[_Element], body: bytes, order: str
) -> tuple[dict[str, dict[str, _Column]], int]:
    """The columns of all elements up to vertices and faces or strips, and where the bytes behind them begin."""
    columns: dict[str, dict[str, _Column]] = {}
    at = 0
    for element in elements:
        columns[element.name], at = _decode(path, element, body, at, order)
        if columns.get("vertex") and (columns.get("face") or columns.get("tristrips")):
            break
    return columns, at


def _ascii_columns(path: StrPath, elements: list[_Element], body: bytes) -> dict[str, dict[str, _Column]]:
    """As :func:`_columns`; values are taken as they come, or line by line where that does not fit the header."""
    problem: FileError | None = None
    try:
        packed = _doubles(path, body.split())
        columns, at = _columns(path, elements, packed, "<")
        if at == len(packed):
            return columns
    except FileError as error:
        problem = error
    lines = [line for line in map(bytes.split, body.splitlines()) if line]
    if len(lines) == sum(element.count for element in elements if element.properties):
        return _columns(path, elements, _doubles(path, _declared(elements, lines)), "<")[0]
    if problem is not None:
        raise problem
    return columns


def _doubles(path: StrPath, words: list[bytes]) -> bytes:
    try:
        return floats(words).astype("<f8").tobytes()
    except ValueError as error:
        raise FileError(path, f"expected numbers after the PLY header ({str(error)[:80]})") from error


def _declared(elements: list[_Element], lines: list[list[bytes]]) -> list[bytes]:
    """The words of lines, one per row, that the header declares; more at a line's end are left out."""
    words: list[bytes] = []
    row = 0
    for element in elements:
        for line in lines[row : row + element.count] if element.properties else ():
            end = 0
            for prop in element.properties:
                length = line[end : end + 1]
                end += 1 + (int(length[0]) if prop.length is not None and length and length[0].isdigit() else 0)
            words += line[:end]
        row += element.count if element.properties else 0
    return words


def _read_header(path: StrPath, data: bytes) -> tuple[str, bool, list[_Element], int]:
    """Byte order, whether the body is ascii, the elements, and where the body starts."""
    end = data.find(b"end_header", 0, _MAX_HEADER)
    if not data.startswith((b"ply\n", b"ply\r")) or end < 0:
        raise FileError(path, "expected a PLY file: a header from 'ply' to 'end_header'")
    lines = data[:end].decode("latin-1").splitlines()[1:]
    encoding = next(
        (words[1] for words in map(str.split, lines) if words[:1] == ["format"] and len(words) > 1), "none"
    )
    if encoding not in _ORDERS:
        raise FileError(path, f"expected a PLY format of {', '.join(_ORDERS)}, got {encoding[:40]}")
    elements: list[tuple[str, int, list[_Property]]] = []
    for number, line in enumerate(lines, 2):
        words = line.split()
        try:
            if not words or words[0] in ("comment", "obj_info", "format"):
                continue
            if words[0] == "element" and int(words[2]) >= 0:
                elements.append((words[1], int(words[2]), []))
            elif words[0] == "property":
                elements[-1][2].append(_property(words[1:], encoding))
            else:
                raise ValueError(line)
        except (ValueError, IndexError, KeyError) as error:
            raise FileError(path, f"line {number}: expected a PLY header line, got {line[:60]!r}") from error
    start = end + len(b"end_header")
    start += 2 if data[start : start + 2] == b"\r\n" else 1
    return _ORDERS[encoding], encoding == "ascii", [_Element(n, c, tuple(p)) for n, c, p in elements], start


def _property(words: list[str], encoding: str) -> _Property:
    def stored(declared: str) -> np.dtype:
        return np.dtype("<f8" if encoding == "ascii" else _ORDERS[encoding] + _TYPES[declared])

    if words[0] == "list":
        _, length, declared, name = words
        return _Property(name, np.dtype(_TYPES[declared]), stored(declared), stored(length))
    declared, name = words
    return _Property(name, np.dtype(_TYPES[declared]), stored(declared))


def _decode(path: StrPath, element: _Element, body: bytes, at: int, order: str) -> tuple[dict[str, _Column], int]:
    """One element's columns from ``body`` at byte ``at``, and where the next element starts."""
    least = sum((p.length or p.stored).itemsize for p in element.properties)
    if least * element.count > len(body) - at:
        raise FileError(
            path,
            f"cut short: the header claims {element.count} of element {element.name!r}, at least "
            f"{least * element.count} bytes, got {len(body) - at}",
        )
    if least == 0 or element.count == 0:
        return {}, at
    row = _uniform_row(element, body, at)
    if row is not None:
        rows = np.frombuffer(body, row, element.count, at)
        lists = [p.length is not None for p in element.properties]
        if all((rows[f"{i} length"] == row[f"{i}"].shape[0]).all() for i, is_list in enumerate(lists) if is_list):
            columns = {
                p.name: _Column(
                    p.declared, rows[f"{i}"].ravel(), rows[f"{i} length"].astype(int) if p.length else None
                )
                for i, p in enumerate(element.properties)
            }
            return columns, at + row.itemsize * element.count
    return _walk(path, element, body, at)


def _uniform_row(element: _Element, body: bytes, at: int) -> np.dtype | None:
    """The type of every row if all lists are as long as in the first; None if so many rows do not fit."""
    fields: list[tuple] = []
    for i, prop in enumerate(element.properties):
        shape: tuple[int, ...] = ()
        if prop.length is not None:
            if at + prop.length.itemsize > len(body):
                return None
            value = np.frombuffer(body, prop.length, 1, at)[0]
            at += prop.length.itemsize
            if not 0 <= value <= (len(body) - at) // prop.stored.itemsize:
                return None
            shape = (int(value),)
            fields.append((f"{i} length", prop.length))
        fields.append((f"{i}", prop.stored, shape))
        at += prop.stored.itemsize * (shape[0] if shape else 1)
    row = np.dtype(fields)
    return row if row.itemsize * (element.count - 1) + at <= len(body) else None


def _walk(path: StrPath, element: _Element, body: bytes, at: int) -> tuple[dict[str, _Column], int]:
    """Row by row: for lists of different lengths."""
    readers = [
        (None if p.length is None else struct.Struct(_struct_code(p.length)), p.stored.itemsize)
        for p in element.properties
    ]
    places: list[list[int]] = [[] for _ in readers]
    lengths: list[list[int]] = [[] for _ in readers]
    try:
        for _ in range(element.count):
            for (length, size), place, counts in zip(readers, places, lengths, strict=True):
                count = 1
                if length is not None:
                    count = int(length.unpack_from(body, at)[0])
                    at += length.size
                    counts.append(count)
                place.append(at)
                if count < 0:
                    raise ValueError(f"a list of {count}")
                at += count * size
            if at > len(body):
                raise ValueError("the file ends first")
    except (struct.error, ValueError, OverflowError) as error:
        raise FileError(path, f"expected {element.count} of element {element.name!r}, damaged ({error})") from error
    columns = {}
    for prop, place, counts in zip(element.properties, places, lengths, strict=True):
        numbers = np.array(counts if prop.length else np.ones(len(place)), dtype=np.int64)
        within = np.arange(int(numbers.sum())) - np.repeat(np.cumsum(numbers) - numbers, numbers)
        first = np.repeat(np.array(place), numbers) + within * prop.stored.itemsize
        raw = np.frombuffer(body, np.uint8)[first[:, None] + np.arange(prop.stored.itemsize)]
        columns[prop.name] = _Column(prop.declared, raw.view(prop.stored).ravel(), numbers if prop.length else None)
    return columns, at


def _struct_code(kind: np.dtype) -> str:
    return (">" if kind.byteorder == ">" else "<") + kind.char


def _strip_faces(strips: dict[str, _Column]) -> dict[str, _Column]:
    """The triangles of strips, as faces; none where there are no strips."""
    for name in _CORNER_NAMES:
        column = strips.get(name)
        if column is not None and column.counts is not None:
            values = np.insert(column.values.astype(np.float64), np.cumsum(column.counts), -1)
            parts = np.split(values, np.flatnonzero(values == -1))
            triangles = np.concatenate([cut_strip(part[part != -1]) for part in parts])
            return {name: _Column(column.declared, triangles.ravel(), np.full(len(triangles), 3))}
    return {}


def _mesh(defects: Defects, vertex: dict[str, _Column], face: dict[str, _Column]) -> MeshFields:
    def stack(names: tuple[str, ...]) -> np.ndarray | None:
        columns = [vertex[name] for name in names if name in vertex]
        if len(columns) < len(names) or any(column.counts is not None for column in columns):
            return None
        same = np.float32 if all(column.declared == np.float32 for column in columns) else np.float64
        return np.stack([column.values for column in columns], axis=1).astype(same)

    def first(candidates: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], np.ndarray | None]:
        found = [(names, stack(names)) for names in candidates]
        return next(((names, values) for names, values in found if values is not None), ((), None))

    vertices = stack(("x", "y", "z"))
    if vertices is None:
        raise FileError(defects.path, "expected a PLY file with vertices (x, y, z), found none")
    names, colors = first(_COLOR_NAMES)
    if colors is not None and vertex[names[0]].declared.kind in "iu":
        colors = colors / np.iinfo(vertex[names[0]].declared).max
    indices = next((face[name] for name in _CORNER_NAMES if name in face), None)
    triangles, quads = np.empty((0, 3), dtype=np.int32), None
    if indices is not None and indices.counts is not None:
        with blaming(defects.path):
            triangles, quads = _faces(defects, indices.values, indices.counts, len(vertices))
    uv = first(_UV_NAMES)[1]
    return usable_fields(defects, vertices, triangles, uv=uv, colors=colors, quads=quads)


def _faces(
    defects: Defects, corners: np.ndarray, counts: np.ndarray, limit: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Triangles (F, 3) and quads (Q,) of polygons' corners in a row, ``counts`` of each."""
    kept = counts >= 3
    if not kept.all():
        if not kept.any():
            raise ValueError("expected faces of 3 or more whole indices, got others")
        defects.add(f"without {int((~kept).sum())} faces of fewer than 3 corners")
        corners, counts = corners[np.repeat(kept, counts)], counts[kept]
    if not np.array_equal(corners, np.trunc(corners)):
        raise ValueError("expected faces of 3 or more whole indices, got others")
    if len(corners) and not (corners.min() >= 0 and corners.max() < limit):
        raise ValueError(f"expected faces with vertices 0..{limit - 1}, got others")
    order, _, quads = cut_polygons(counts)
    return corners.astype(np.int32)[order], quads if len(quads) else None


def write_ply(path: StrPath, mesh: MeshFields, *, ascii: bool = False) -> None:
    """Write a PLY file, binary little-endian or ascii.

    Written: positions (float or double as they are; ascii with 9 digits), vertex colours in 8 bits, uv as ``s t``
    where there is one per vertex, quads as quads. PLY has no place for uv seams, textures and groups.

    Raises:
        FileError: cannot be written.
    """
    kind = "f4" if mesh.vertices.dtype.itemsize == 4 else "f8"
    fields = [(name, "<" + kind) for name in "xyz"]
    values = [*mesh.vertices.T]
    if mesh.uv is not None and mesh.uv_triangles is None:
        fields += [(name, "<f4") for name in "st"]
        values += [*mesh.uv.T]
    if mesh.colors is not None:
        fields += [(name, "|u1") for name in ("red", "green", "blue")]
        values += [*np.rint(mesh.colors * 255).T]
    table = np.empty(len(mesh.vertices), dtype=fields)
    for (name, _), column in zip(fields, values, strict=True):
        table[name] = column
    names = {"f4": "float", "f8": "double", "u1": "uchar"}
    corners, counts = polygon_corners(mesh, mesh.triangles)
    header = "\n".join(
        [
            "ply",
            f"format {'ascii' if ascii else 'binary_little_endian'} 1.0",
            "comment likeness, millimetres",
            f"element vertex {len(table)}",
            *(f"property {names[kind[1:]]} {name}" for name, kind in fields),
            f"element face {len(counts)}",
            "property list uchar int vertex_indices",
            "end_header\n",
        ]
    )
    used = np.arange(5) <= counts[:, None]
    rows = np.column_stack([counts, corners])
    if ascii:
        line = " ".join("%d" if kind == "|u1" else "%.9g" for _, kind in fields) + "\n"
        text = line * len(table) % tuple(v for row in table.tolist() for v in row)
        shapes = {3: "%d %d %d %d\n", 4: "%d %d %d %d %d\n"}
        text += "".join([shapes[n] for n in counts.tolist()]) % tuple(rows[used].tolist())
        write_atomically(path, (header + text).encode())
        return
    packed = np.empty(len(rows), dtype=[("length", "u1"), ("corners", "<i4", (4,))])
    packed["length"], packed["corners"] = counts, corners
    raw = packed.view(np.uint8).reshape(len(rows), 17)
    write_atomically(path, header.encode() + table.tobytes() + raw[np.arange(17) < 1 + 4 * counts[:, None]].tobytes())
