"""Wavefront OBJ, read: polygons, uv seams, groups, vertex colours, a texture through its .mtl."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import read_bytes, without_mark
from likeness.images.texture import decode_texture
from likeness.mesh.defects import Defects, reported, usable_fields
from likeness.mesh.fields import MeshFields
from likeness.mesh.numbers import floats, is_float
from likeness.mesh.polygons import cut_polygons

_MAX_GROUPS_AT_ONCE = 64  # of one face; a hostile file could otherwise make lists far larger than itself


@dataclass(frozen=True)
class _Lines:
    """All lines of one keyword: their numbers in the file (N,), fields per line (N,), and the fields in a row."""

    numbers: np.ndarray
    counts: np.ndarray
    fields: list[bytes]

    def line_of(self, field: int) -> int:
        return int(self.numbers[np.searchsorted(np.cumsum(self.counts), field, side="right")])


@dataclass(frozen=True)
class _Statements:
    """An OBJ file taken apart; ``groups`` and ``materials`` say from which face on they hold."""

    v: _Lines
    vt: _Lines
    f: _Lines
    groups: list[tuple[int, tuple[str, ...]]]
    materials: list[tuple[int, str]]
    libraries: list[str]


def read_obj(path: StrPath) -> MeshFields:
    """Read a Wavefront OBJ file.

    Understood: ``v`` with or without a colour (``x y z r g b``, 0..1 or whole numbers 0..255; kept if each vertex has
    one), ``vt``, ``f`` in all its forms with positive and negative indices and any number of corners, ``g`` and ``o``
    (both become groups), ``mtllib``, ``usemtl``, comments and line continuations. Normals are not kept; lines, points
    and curves are ignored. The texture is the image that all textured faces share, looked for in the file's folder
    and below. Corners without uv in a file with uv get (0, 0).

    Left out with a :class:`likeness.FileWarning`: a texture that is missing, cannot be read, or is one of several; uv
    that are missing or no numbers; colours that make no sense; faces of fewer than three corners; vertices that are
    no numbers and that no face has.

    Raises:
        FileError: unreadable, or a line about the geometry that cannot be understood, with its number.
    """
    data = without_mark(read_bytes(path))
    if b"\0" in data:
        raise FileError(path, "expected OBJ text, got binary data")
    with reported(path) as defects:
        statements = _take_apart(data, defects)
        if not len(statements.v.numbers):
            raise FileError(path, "expected an OBJ file, found no vertex ('v x y z')")
        vertices, colors = _read_vertices(path, statements.v)
        corners = _read_corners(path, statements)
        uv = _read_uv(defects, statements.vt, corners[:, 1])
        order, starts, quads = cut_polygons(statements.f.counts)
        triangles, uv_triangles = corners[order, 0], corners[order, 1]
        _check_used(path, statements.v, vertices, triangles)
        if uv is not None and (uv_triangles < 0).any():
            uv_triangles[uv_triangles < 0] = len(uv)
            uv = np.append(uv, [[0.0, 0.0]], axis=0)
        seamless = uv is not None and len(uv) == len(vertices) and np.array_equal(triangles, uv_triangles)
        return usable_fields(
            defects,
            vertices,
            triangles,
            uv=uv,
            uv_triangles=None if uv is None or seamless else uv_triangles,
            colors=colors,
            texture=None if uv is None else _read_texture(defects, statements),
            quads=quads if len(quads) else None,
            groups=_read_groups(statements, np.append(starts, len(triangles))),
            eight_bit=True,
        )


def _take_apart(data: bytes, defects: Defects) -> _Statements:
    """Sorts the lines by keyword with whole-array operations: files have hundreds of thousands of them."""
    letters = np.frombuffer(_tidy(data), np.uint8).copy()
    ends = np.flatnonzero(letters == ord("\n"))
    starts = np.append(0, ends[:-1] + 1)
    first, second, third = (letters[np.minimum(starts + i, ends)] for i in range(3))
    blanks = np.frombuffer(b" \n", np.uint8)
    is_vertex = (first == ord("v")) & np.isin(second, blanks)
    is_uv = (first == ord("v")) & (second == ord("t")) & np.isin(third, blanks)
    is_face = (first == ord("f")) & np.isin(second, blanks)
    faces_before = np.cumsum(is_face) - is_face
    groups: list[tuple[int, tuple[str, ...]]] = []
    materials: list[tuple[int, str]] = []
    libraries: list[str] = []
    object_name: tuple[str, ...] = ()
    group_names: tuple[str, ...] = ()
    for i in np.flatnonzero(np.isin(first, np.frombuffer(b"gomu", np.uint8))):
        key, _, rest = letters[starts[i] : ends[i]].tobytes().decode("utf-8", "surrogateescape").partition(" ")
        names = tuple(rest.encode("utf-8", "surrogateescape").decode("utf-8", "replace").split())
        if len(names) > _MAX_GROUPS_AT_ONCE and key == "g":
            defects.add(f"line {i + 1}: {_MAX_GROUPS_AT_ONCE} groups of {len(names)}")
            names = names[:_MAX_GROUPS_AT_ONCE]
        if key == "o":
            object_name = ("_".join(names),) if names else ()
        elif key == "g":
            group_names = names
        elif key == "usemtl":
            materials.append((int(faces_before[i]), rest.strip()))
        elif key == "mtllib":
            libraries.append(rest.strip())
        if key in ("o", "g"):
            groups.append((int(faces_before[i]), tuple(dict.fromkeys(object_name + group_names))))
    letters[starts] = ord(" ")  # the keywords go, the fields stay
    letters[starts[is_uv] + 1] = ord(" ")
    letters[ends] = ord("\n")  # also of empty lines
    v, vt, f = (_lines(letters, starts, ends, chosen) for chosen in (is_vertex, is_uv, is_face))
    return _without_edges(_Statements(v, vt, f, groups, materials, libraries), defects)


def _without_edges(statements: _Statements, defects: Defects) -> _Statements:
    """The statements without faces of fewer than three corners."""
    f = statements.f
    kept = f.counts >= 3
    if kept.all():
        return statements
    defects.add(f"without {int((~kept).sum())} faces of fewer than 3 corners")
    fields = [field for field, stays in zip(f.fields, np.repeat(kept, f.counts).tolist(), strict=True) if stays]
    before = np.append(0, np.cumsum(kept)).tolist()  # faces that stay before each face
    return replace(
        statements,
        f=_Lines(f.numbers[kept], f.counts[kept], fields),
        groups=[(before[face], names) for face, names in statements.groups],
        materials=[(before[face], name) for face, name in statements.materials],
    )


def _tidy(data: bytes) -> bytes:
    """Newlines as line ends, blanks as white space, no indentation, no comments behind a statement; every line ends.

    A line continued by a backslash is joined to its first and leaves empty lines behind: line numbers stay.
    """
    data = data.replace(b"\r\n", b"\n").translate(bytes.maketrans(b"\r\t\v\f", b"\n   ")) + b"\n"
    if b"\\\n" in data:
        lines = data.split(b"\n")
        first = 0
        for i, line in enumerate(lines):
            if not line.endswith(b"\\"):
                joined = b" ".join(part.removesuffix(b"\\") for part in lines[first : i + 1])
                lines[first : i + 1] = [joined] + [b""] * (i - first)
                first = i + 1
        data = b"\n".join(lines)
    if b" #" in data:
        data = re.sub(rb" #[^\n]*", b"", data)
    if b"\n " in data or data.startswith(b" "):
        data = re.sub(rb"\n +", b"\n", data.lstrip(b" "))
    return data


def _lines(letters: np.ndarray, starts: np.ndarray, ends: np.ndarray, chosen: np.ndarray) -> _Lines:
    text = letters[np.repeat(chosen, ends - starts + 1)]
    is_end = text == ord("\n")
    blank = is_end | (text == ord(" "))
    begins = ~blank & np.append(True, blank[:-1])[: len(blank)]
    counts = np.bincount(np.cumsum(is_end)[begins], minlength=int(chosen.sum()))
    return _Lines(np.flatnonzero(chosen) + 1, counts, text.tobytes().split())


def _numbers(path: StrPath, lines: _Lines, key: str, widths: range) -> np.ndarray:
    """All numbers of the lines in one row, float64."""
    bad = np.flatnonzero((lines.counts < widths.start) | (lines.counts >= widths.stop))
    if len(bad):
        raise FileError(
            path,
            f"line {lines.numbers[bad[0]]}: expected {widths.start} to {widths.stop - 1} numbers after '{key}', "
            f"got {lines.counts[bad[0]]}",
        )
    return _convert(path, lines, lines.fields, floats, is_float)


def _convert(
    path: StrPath,
    lines: _Lines,
    tokens: list[bytes],
    numbers: Callable[[list[bytes]], np.ndarray],
    good: Callable[[bytes], bool],
) -> np.ndarray:
    """The ``numbers`` of tokens; if one is none, names the line whose field is not ``good``."""
    try:
        return numbers(tokens)
    except (ValueError, OverflowError) as error:
        for i, text in enumerate(lines.fields):
            if not good(text):
                shown = text[:40].decode("utf-8", "replace")
                raise FileError(path, f"line {lines.line_of(i)}: expected a number, got {shown!r}") from error
        raise FileError(path, f"expected numbers, got a value out of range ({error})") from error


def _whole(words: list[bytes]) -> np.ndarray:
    return np.array(words, dtype=np.int64)


def _is_corner(text: bytes) -> bool:
    return re.fullmatch(rb"[+-]?\d{1,18}(/([+-]?\d{1,18})?){0,2}", text) is not None


def _read_vertices(path: StrPath, lines: _Lines) -> tuple[np.ndarray, np.ndarray | None]:
    """(V, 3) positions and, if every vertex has one, (V, 3) colours; a weight or an alpha is dropped."""
    values = _numbers(path, lines, "v", range(3, 8))
    row = (np.cumsum(lines.counts) - lines.counts)[:, None]
    vertices = values[row + np.arange(3)]
    return vertices, None if (lines.counts < 6).any() else values[row + np.arange(3, 6)]


def _check_used(path: StrPath, lines: _Lines, vertices: np.ndarray, triangles: np.ndarray) -> None:
    used = np.zeros(len(vertices), bool)
    used[triangles] = True
    bad = np.flatnonzero(used & ~np.isfinite(vertices).all(axis=1))
    if len(bad):
        raise FileError(
            path, f"line {lines.numbers[bad[0]]}: expected finite numbers after 'v', a face has this vertex"
        )


def _read_uv(defects: Defects, lines: _Lines, corners: np.ndarray) -> np.ndarray | None:
    """(U, 2); a third coordinate is dropped, a missing second is 0. None where no corner has any, or none is usable.

    Args:
        defects: of the file.
        lines: the ``vt`` lines.
        corners: (N,) index of each corner's uv, -1: none.
    """
    if not (corners >= 0).any():
        return None
    if corners.max() >= len(lines.numbers):
        defects.add(f"no uv (faces name uv {corners.max() + 1} of {len(lines.numbers)})")
        return None
    try:
        values = np.append(_numbers(defects.path, lines, "vt", range(1, 4)), 0.0)
    except FileError as error:
        defects.without("uv", error)
        return None
    row = np.cumsum(lines.counts) - lines.counts
    return np.stack([values[row], np.where(lines.counts > 1, values[row + 1], 0.0)], axis=1)


def _read_corners(path: StrPath, statements: _Statements) -> np.ndarray:
    """Zero-based vertex and uv (-1: none) of all faces' corners, (N, 2); uv may be beyond those that are there."""
    lines = statements.f
    text = b" ".join([*lines.fields, b""]).replace(b"//", b"/0/").replace(b"/ ", b"/0 ")  # OBJ has no index 0: absent
    letters = np.frombuffer(text, np.uint8)
    slashes_before = np.searchsorted(np.flatnonzero(letters == ord("/")), np.flatnonzero(letters == ord(" ")))
    slashes = np.diff(slashes_before, prepend=0)
    numbers = _convert(path, lines, text.replace(b"/", b" ").split(b" ")[:-1], _whole, _is_corner)
    start = np.cumsum(slashes + 1) - (slashes + 1)
    padded = np.append(numbers, 0)
    given = np.stack([padded[start], np.where(slashes > 0, padded[start + 1], 0)], axis=1)
    known = [statements.v.numbers, statements.vt.numbers]
    result = np.where(given > 0, given - 1, given)
    if (given < 0).any():  # counted back from the last one before the face
        before = np.stack([np.searchsorted(numbers, lines.numbers) for numbers in known], axis=1)
        result += np.where(given < 0, np.repeat(before, lines.counts, axis=0), 0)
    limit, absent = len(known[0]), given[:, 1] == 0
    wrong = (result[:, 0] < 0) | (result[:, 0] >= limit) | (given[:, 0] == 0) | (slashes > 2)
    if wrong.any():
        bad = int(np.argmax(wrong))
        shown = lines.fields[bad][:40].decode("utf-8", "replace")
        raise FileError(path, f"line {lines.line_of(bad)}: expected a corner with vertex 1..{limit}, got {shown!r}")
    beyond = result[:, 1] < 0  # counted back beyond the first
    result[:, 1] = np.where(absent, -1, np.where(beyond, len(known[1]), result[:, 1]))
    return result


def _read_groups(statements: _Statements, starts: np.ndarray) -> dict[str, np.ndarray] | None:
    """Triangles by group name; face i's are ``starts[i]:starts[i + 1]``."""
    members: dict[str, list[np.ndarray]] = {}
    ends = [face for face, _ in statements.groups[1:]] + [len(statements.f.numbers)]
    for (face, names), end in zip(statements.groups, ends, strict=False):
        if end > face:
            triangles = np.arange(starts[face], starts[end], dtype=np.int32)
            for name in names:
                members.setdefault(name, []).append(triangles)
    return {name: np.concatenate(parts) for name, parts in members.items()} or None


def _read_texture(defects: Defects, statements: _Statements) -> np.ndarray | None:
    ends = [face for face, _ in statements.materials[1:]] + [len(statements.f.numbers)]
    used = {name for (face, name), end in zip(statements.materials, ends, strict=False) if end > face}
    folder = Path(defects.path).parent
    images: dict[str, Path | None] = {}
    try:
        for library in statements.libraries:
            file = _beside(folder, library)
            if file is None and used:
                defects.add(f"no texture ({library!r} is not beside it)")
            material = ""
            for line in _tidy(without_mark(read_bytes(file))).splitlines() if file else ():
                key, _, rest = line.decode("utf-8", "surrogateescape").strip().partition(" ")
                if key == "newmtl":
                    material = rest.strip()
                elif key == "map_Kd" and material in used:
                    name = rest.split()[-1] if rest.strip().startswith("-") else rest.strip()  # after its options
                    images[name] = _beside(folder, name)
        if len(set(images.values())) > 1:
            defects.add(f"no texture ({len(set(images.values()))} of them, a mesh holds one)")
            return None
        for name, image in images.items():
            if image is None:
                defects.add(f"no texture ({name[:80]!r} is not beside it)")
            return None if image is None else decode_texture(image, read_bytes(image))
    except FileError as error:
        defects.without("texture", error)
    return None


def _beside(folder: Path, name: str) -> Path | None:
    """The file that another file names, in ``folder`` or below and nowhere else; None if it is not there.

    Bytes that are no UTF-8 are the file's name, or the name as Windows wrote it before that.
    """
    raw = name.encode("utf-8", "surrogateescape")
    for spelling in dict.fromkeys((os.fsdecode(raw), raw.decode("cp1252", "replace"))):
        given = Path(spelling.replace("\\", "/"))
        if given.is_absolute() or ".." in given.parts or ":" in spelling:
            given = Path(given.name)
        with suppress(OSError, ValueError):  # a name that no file can have
            if (folder / given).is_file():
                return folder / given
    return None
