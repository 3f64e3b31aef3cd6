"""What does not touch a mesh file's geometry is told in one warning and left out, never a reason to refuse."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from likeness.errors import FileError, FileWarning
from likeness.mesh import Mesh

SQUARE = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
LINES = "".join(f"v {x} {y} {z}\n" for x, y, z in SQUARE)
FACES = "f 1 2 3\nf 1 3 4\n"


def obj(folder: Path, text: str | bytes) -> Path:
    path = folder / "a.obj"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(path: Path) -> tuple[Mesh, str]:
    """The mesh, and the one warning about it (empty: none)."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        mesh = Mesh.load(path)
    assert len(told) <= 1
    if not told:
        return mesh, ""
    assert told[0].category is FileWarning
    text = str(told[0].message)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return mesh, text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
def test_a_byte_order_mark_is_no_part_of_the_first_vertex(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "m.mtl").write_bytes("newmtl skin\nmap_Kd none.png\n".encode(encoding))
    text = LINES + "vt 0 0\nmtllib m.mtl\nusemtl skin\n" + FACES.replace("f 1 ", "f 1/1 ")
    mesh, told = read(obj(tmp_path, text.encode(encoding)))
    assert mesh.vertices.tolist() == SQUARE
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert "'none.png' is not beside it" in told  # the material file's mark, too


def test_a_byte_order_mark_before_a_ply_or_stl_header(tmp_path: Path) -> None:
    for name in ("a.ply", "a.stl"):
        Mesh(np.array(SQUARE, float), np.array([[0, 1, 2], [0, 2, 3]])).save(tmp_path / name)
    text = "solid a\n" + "".join(
        "facet normal 0 0 1\nouter loop\n" + "".join("vertex {} {} {}\n".format(*SQUARE[i]) for i in face)
        + "endloop\nendfacet\n" for face in ((0, 1, 2), (0, 2, 3))
    ) + "endsolid a\n"  # fmt: skip
    (tmp_path / "a.stl").write_text(text)
    for name in ("a.ply", "a.stl"):
        path = tmp_path / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert len(Mesh.load(path).triangles) == 2


@pytest.mark.parametrize(
    ("uv", "faces", "message"),
    [
        ("", "f 1/1/1 2/2/2 3/3/3\n", "faces name uv 3 of 0"),
        ("vt 0 0\n", "f 1/1 2/2 3/1\n", "faces name uv 2 of 1"),
        ("vt 0 0\n", "f 1/-1 2/-2 3/-1\n", "faces name uv 2 of 1"),
        ("vt 0 zero\n", "f 1/1 2/1 3/1\n", "line 5: expected a number, got 'zero'"),
        ("vt\n", "f 1/1 2/1 3/1\n", "line 5: expected 1 to 3 numbers after 'vt', got 0"),
        ("vt nan 0\n", "f 1/1 2/1 3/1\n", "some are no numbers"),
    ],
)
def test_uv_that_are_missing_or_no_numbers(tmp_path: Path, uv: str, faces: str, message: str) -> None:
    mesh, told = read(obj(tmp_path, LINES + uv + faces))
    assert mesh.triangles.tolist() == [[0, 1, 2]]
    assert mesh.uv is None
    assert mesh.uv_triangles is None
    assert f"no uv ({message})" in told


def test_uv_that_no_face_has_may_be_anything(tmp_path: Path) -> None:
    mesh, told = read(obj(tmp_path, LINES + "vt 0 1\nvt nan nan\nf 1/1 2/1 3/1\n"))
    assert mesh.uv is not None
    assert mesh.uv[0].tolist() == [0, 1]
    assert told == ""


def test_faces_of_fewer_than_three_corners(tmp_path: Path) -> None:
    text = LINES + "g a\nf 1 2\nf 1 2 3\ng b\nf 4\nf 1 3 4\nf 2 3\n"
    mesh, told = read(obj(tmp_path, text))
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert {name: members.tolist() for name, members in (mesh.groups or {}).items()} == {"a": [0], "b": [1]}
    assert "without 3 faces of fewer than 3 corners" in told
    rows = "3 0 1 2\n2 0 1\n3 0 2 3\n"
    mesh, told = read(ascii_ply(tmp_path, [tuple(point) for point in SQUARE], rows, 3))
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert "without 1 faces of fewer than 3 corners" in told


def test_vertices_that_are_no_numbers_stay_out_if_no_face_has_them(tmp_path: Path) -> None:
    text = "v nan nan nan 1 0 0\n" + "".join(f"{line} 1 0 0\n" for line in LINES.splitlines()) + "v inf 0 0 0 0 0\n"
    mesh, told = read(obj(tmp_path, text + "f 2 3 4\nf 2 4 5\n"))
    assert mesh.vertices.tolist() == SQUARE
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert mesh.colors is not None
    assert mesh.colors.tolist() == [[1, 0, 0]] * 4
    assert "without 2 vertices that are no numbers and that no face has" in told
    mesh, _ = read(ascii_ply(tmp_path, [*SQUARE[:3], ("nan",) * 3], "3 0 1 2\n3 0 2 1\n", 2))
    assert mesh.vertices.tolist() == SQUARE[:3]
    mesh, _ = read(ascii_ply(tmp_path, [*SQUARE[:3], ("nan",) * 3], "", 0))  # points without faces
    assert mesh.vertices.tolist() == SQUARE[:3]
    with pytest.raises(FileError, match="line 1: expected finite numbers"):
        Mesh.load(obj(tmp_path, text + "f 1 2 3\n"))
    with pytest.raises(FileError, match="expected finite vertices, got 1 rows"):
        Mesh.load(ascii_ply(tmp_path, [*SQUARE[:3], ("nan",) * 3], "3 0 1 3\n", 1))


def ascii_ply(folder: Path, vertices: list, faces: str, count: int, extra: str = "", colors: str = "") -> Path:
    head = f"ply\nformat ascii 1.0\nelement vertex {len(vertices)}\n"
    head += "".join(f"property float {name}\n" for name in "xyz") + colors
    head += f"element face {count}\nproperty list uchar int vertex_indices\n{extra}end_header\n"
    rows = "".join(" ".join(map(str, row)) + "\n" for row in vertices)
    path = folder / "a.ply"
    path.write_text(head + rows + faces)
    return path


@pytest.mark.parametrize(
    ("colors", "expected", "message"),
    [
        ("1.02 .5 0|0 0 0|1 1 1|0 0 0", [[1, 0.5, 0], [0, 0, 0], [1, 1, 1], [0, 0, 0]], "0..1.02 taken as 0..1"),
        ("-.1 .5 0|0 0 0|1 1 1|0 0 0", [[0, 0.5, 0], [0, 0, 0], [1, 1, 1], [0, 0, 0]], "-0.1..1 taken as 0..1"),
        ("127.5 0 0|255 0 0|0 0 0|0 0 0", [[0.5, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]], "0..255 taken as 0..255"),
        ("65535 0 0|0 0 0|0 0 0|0 0 0", [[1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]], "taken as 0..65535"),
        ("nan nan nan|0 0 0|1 1 1|0 0 0", None, "no colours (some are no numbers)"),
        ("1e9 0 0|0 0 0|1 1 1|0 0 0", None, "no colours (expected 0..1, got 0..1e+09)"),
        ("-9 0 0|0 0 0|1 1 1|0 0 0", None, "no colours (expected 0..1, got -9..1)"),
        ("300.5 0 0|0 0 0|1 1 1|0 0 0", None, "no colours"),
    ],
)
@pytest.mark.parametrize("kind", ["obj", "ply"])
def test_colours_are_clipped_scaled_or_left_out(
    tmp_path: Path, kind: str, colors: str, expected: list | None, message: str
) -> None:
    rows = [[*point, *color.split()] for point, color in zip(SQUARE, colors.split("|"), strict=True)]
    if kind == "obj":
        path = obj(tmp_path, "".join("v " + " ".join(map(str, row)) + "\n" for row in rows) + FACES)
    else:
        properties = "".join(f"property float {name}\n" for name in ("red", "green", "blue"))
        path = ascii_ply(tmp_path, rows, "3 0 1 2\n3 0 2 3\n", 2, colors=properties)
    mesh, told = read(path)
    assert mesh.vertices.tolist() == SQUARE
    assert message in told
    assert (mesh.colors is None) == (expected is None)
    if mesh.colors is not None:
        np.testing.assert_allclose(mesh.colors, expected, atol=1e-6)


def test_a_texture_of_another_format_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "m.mtl").write_text("newmtl m\nmap_Kd t.tga\nnewmtl n\nmap_Kd u.png\n")
    (tmp_path / "t.tga").write_bytes(bytes([0, 0, 2, *[0] * 9, 1, 0, 1, 0, 24, 0, 1, 2, 3]))
    text = LINES + "mtllib m.mtl\nmtllib away.mtl\nvt 0 0\nusemtl m\nf 1/1 2/1 3/1\n"
    mesh, told = read(obj(tmp_path, text))
    assert mesh.texture is None
    assert mesh.uv is not None
    assert "t.tga: the texture cannot be used" in told
    assert "'away.mtl' is not beside it" in told
    mesh, told = read(obj(tmp_path, text + "usemtl n\nf 1/1 3/1 4/1\n"))
    assert len(mesh.triangles) == 2
    assert "no texture (2 of them, a mesh holds one)" in told


def test_more_groups_of_a_face_than_anybody_has(tmp_path: Path) -> None:
    mesh, told = read(obj(tmp_path, LINES + "g " + " ".join(f"g{i}" for i in range(100)) + "\n" + FACES))
    assert len(mesh.groups or {}) == 64
    assert "64 groups of 100" in told


@pytest.mark.parametrize("tail", ["9 1 1", "x", ""])
def test_an_ascii_ply_with_more_values_than_declared(tmp_path: Path, tail: str) -> None:
    rows = f"3 0 1 2 2 .5 .25 7 {tail}\n4 0 1 2 3 0 8 {tail}\n"
    extra = "property list uchar float texcoord\nproperty uchar flags\n"
    mesh, told = read(ascii_ply(tmp_path, [[*point, *tail.split()] for point in SQUARE], rows, 2, extra))
    assert mesh.vertices.tolist() == SQUARE
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 1, 2], [0, 2, 3]]
    assert told == ""


def test_an_ascii_ply_may_break_its_lines_anywhere(tmp_path: Path) -> None:
    path = ascii_ply(tmp_path, SQUARE, "3 0\n1 2 3 0\n\n2 3\n", 2)
    assert Mesh.load(path).triangles.tolist() == [[0, 1, 2], [0, 2, 3]]


def test_a_warning_can_be_made_an_error(tmp_path: Path) -> None:
    path = obj(tmp_path, LINES + FACES + "f 1 2\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error", FileWarning)
        with pytest.raises(FileWarning) as told:
            Mesh.load(path)
    assert told.value.path == str(path)


def test_the_command_line_says_it_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from likeness import cli

    (tmp_path / "scan.obj").write_text(LINES + FACES.replace("f 1 ", "f 1/1 ") + "f 1 2\n")
    (tmp_path / "points.txt").write_text("no numbers")  # the scan itself has been read when this is found
    scan, points = str(tmp_path / "scan.obj"), str(tmp_path / "points.txt")
    with pytest.raises(SystemExit) as stop:
        cli.main(["register", scan, "--landmarks", points, "-o", str(tmp_path / "out"), "--formats", "json"])
    assert stop.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    told = f"likeness: {tmp_path / 'scan.obj'}: without 1 faces of fewer than 3 corners; no uv (faces name uv 1 of 0)"
    assert lines.count(told) == 1
    assert len(lines) == 2


@pytest.mark.parametrize("word", ["nan", "-nan(ind)", "nan(0x8)", "NaNQ", "1.#QNAN", "-1.#IND00", "1.#INF"])
def test_a_vertex_that_is_no_number_in_the_words_of_any_c_library_is_left_out(tmp_path: Path, word: str) -> None:
    mesh, told = read(obj(tmp_path, LINES + f"v {word} 0 {word}\n" + FACES))
    assert (mesh.vertices.tolist(), len(mesh.triangles)) == (SQUARE, 2)
    assert "without 1 vertices" in told
    with pytest.raises(FileError, match=r"line 1: expected finite numbers"):
        read(obj(tmp_path, f"v {word} 0 0\n" + LINES + FACES))
    with pytest.raises(FileError, match=r"line 5: expected a number, got 'nanny'"):
        read(obj(tmp_path, LINES + f"v nanny 0 {word}\n" + FACES))
    path = tmp_path / "a.ply"
    head = "ply\nformat ascii 1.0\nelement vertex 5\nproperty float x\nproperty float y\nproperty float z\n"
    head += "element face 2\nproperty list uchar int vertex_indices\nend_header\n"
    rows = "".join(f"{x} {y} {z}\n" for x, y, z in SQUARE)
    path.write_text(head + rows + f"0 {word} 0\n3 0 1 2\n3 0 2 3\n")
    mesh, told = read(path)
    assert (mesh.vertices.tolist(), len(mesh.triangles)) == (SQUARE, 2)
    assert "without 1 vertices" in told


@pytest.mark.parametrize("encoding", ["ascii", "binary_big_endian"])
def test_triangle_strips_of_a_ply_are_its_faces(tmp_path: Path, encoding: str) -> None:
    """Corners as faces have them: one strip turned over by a -1, one in a row of its own."""
    rows = [[0, 1, 3, 2, -1, 2, 1, 3], [3, 1, 0]]
    head = f"ply\nformat {encoding} 1.0\nelement vertex 4\n" + "".join(f"property float {one}\n" for one in "xyz")
    head += "element face 0\nproperty list int int vertex_indices\n"
    head += "element tristrips 2\nproperty list int int vertex_indices\nend_header\n"
    points = np.array(SQUARE, ">f4")
    if encoding == "ascii":
        body = "\n".join(" ".join(map(str, line)) for line in (*SQUARE, *([len(row), *row] for row in rows))).encode()
    else:
        body = points.tobytes() + b"".join(np.array([len(row), *row], ">i4").tobytes() for row in rows)
    path = tmp_path / "a.ply"
    path.write_bytes(head.encode() + body)
    mesh, told = read(path)
    assert not told
    assert mesh.triangles.tolist() == [[0, 1, 3], [1, 2, 3], [2, 1, 3], [3, 1, 0]]
    path.write_bytes(head.replace("vertex_indices\nend", "others\nend").encode() + body)
    assert len(read(path)[0].triangles) == 0
