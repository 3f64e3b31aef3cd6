"""Mesh files: what is written comes back, other programs' dialects are understood, damage is named."""

import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from likeness.errors import FileError, FileWarning
from likeness.mesh import Mesh
from likeness.mesh.ply import write_ply

SAVERS: dict[str, Callable[[Path, Mesh], None]] = {
    "a.obj": lambda path, mesh: mesh.save(path),
    "b.ply": lambda path, mesh: mesh.save(path),
    "c.ply": lambda path, mesh: write_ply(path, mesh, ascii=True),
}


def sheet(dtype: type = np.float32, *, seams: bool = True, mixed: bool = True) -> Mesh:
    """A wavy grid: quads with a few triangles between, uv, colours, groups."""
    rng = np.random.default_rng(7)
    x, y = np.meshgrid(np.arange(6.0), np.arange(5.0))
    vertices = np.column_stack([x.ravel(), y.ravel(), rng.normal(size=30)]) * 17.3
    i = np.arange(30).reshape(5, 6)
    quads = np.stack([i[:-1, :-1], i[:-1, 1:], i[1:, 1:], i[1:, :-1]], axis=-1).reshape(-1, 4)
    triangles, uv_triangles = (
        corners[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3) for corners in (quads, rng.integers(0, 41, quads.shape))
    )
    starts = np.arange(0, 40, 2)
    return Mesh(
        vertices.astype(dtype),
        triangles,
        uv=rng.uniform(size=(41 if seams else 30, 2)).astype(np.float32),
        uv_triangles=uv_triangles if seams else None,
        colors=rng.uniform(size=(30, 3)),
        quads=np.delete(starts, [1, 2, 7]) if mixed else starts,
        groups={"lips": np.arange(4, 10), "50% skin": np.arange(6, 20), "rest": np.arange(20, 38)},
    )


@pytest.mark.parametrize("name", SAVERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mixed", [False, True])
def test_a_mesh_comes_back_from_its_file(tmp_path: Path, name: str, dtype: type, mixed: bool) -> None:
    mesh = sheet(dtype, seams=name == "a.obj", mixed=mixed)
    SAVERS[name](tmp_path / name, mesh)
    back = Mesh.load(tmp_path / name)
    if dtype == np.float32:
        np.testing.assert_array_equal(back.vertices.astype(np.float32), mesh.vertices)
    else:
        np.testing.assert_allclose(back.vertices, mesh.vertices, rtol=0 if name == "b.ply" else 5e-9)
    np.testing.assert_array_equal(back.triangles, mesh.triangles)
    np.testing.assert_array_equal(back.quads, mesh.quads)
    np.testing.assert_array_equal(np.asarray(back.uv, np.float32), mesh.uv)
    np.testing.assert_array_equal(back.uv_triangles, mesh.uv_triangles)
    assert back.colors is not None
    np.testing.assert_allclose(back.colors, mesh.colors, atol=1e-5 if name == "a.obj" else 0.5 / 255 + 1e-9)
    if name == "a.obj":
        assert back.groups is not None
        expected = {"_".join(n.split()): t.tolist() for n, t in (mesh.groups or {}).items()}
        assert {n: sorted(t.tolist()) for n, t in back.groups.items()} == expected


@pytest.mark.parametrize("name", [*SAVERS, "d.stl"])
def test_another_reader_sees_the_same_mesh(tmp_path: Path, name: str) -> None:
    import trimesh

    mesh = sheet(seams=False, mixed=name != "b.ply")  # trimesh cannot read faces of two sizes from a binary PLY
    SAVERS.get(name, lambda path, mesh: mesh.save(path))(tmp_path / name, mesh)
    seen = trimesh.load(tmp_path / name, process=False)
    ours = mesh.vertices[mesh.triangles].sum(axis=1)
    theirs = np.asarray(seen.vertices)[np.asarray(seen.faces)].sum(axis=1)
    np.testing.assert_allclose(theirs[np.lexsort(theirs.T)], ours[np.lexsort(ours.T)], atol=1e-4)


def test_stl_corners_at_one_place_become_one_vertex(tmp_path: Path) -> None:
    mesh = sheet()
    mesh.save(tmp_path / "a.STL")
    back = Mesh.load(tmp_path / "a.STL")
    assert len(back.vertices) == len(mesh.vertices)
    np.testing.assert_array_equal(back.vertices[back.triangles], mesh.vertices[mesh.triangles])
    with pytest.raises(ValueError, match="with triangles"):
        Mesh(mesh.vertices, np.empty((0, 3))).save(tmp_path / "b.stl")


@pytest.mark.parametrize("name", SAVERS)
def test_points_without_triangles_are_a_mesh_too(tmp_path: Path, name: str) -> None:
    SAVERS[name](tmp_path / name, Mesh(sheet().vertices, np.empty((0, 3))))
    back = Mesh.load(tmp_path / name)
    assert back.triangles.shape == (0, 3)
    np.testing.assert_array_equal(back.vertices.astype(np.float32), sheet().vertices)


def test_a_texture_travels_with_the_obj_and_nothing_else_is_opened(tmp_path: Path) -> None:
    texture = np.random.default_rng(8).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    plain = sheet()
    mesh = Mesh(plain.vertices, plain.triangles, uv=plain.uv, uv_triangles=plain.uv_triangles, texture=texture)
    folder = tmp_path / "my head"
    folder.mkdir()
    mesh.save(folder / "a b.obj")
    assert sorted(path.name for path in folder.iterdir()) == ["a b.mtl", "a b.obj", "a b.png"]
    np.testing.assert_array_equal(Mesh.load(folder / "a b.obj").texture, texture)
    np.testing.assert_array_equal(cv2.imread(str(folder / "a b.png"))[:, :, ::-1], texture)
    material = folder / "a b.mtl"
    (folder / "a b.png").rename(tmp_path / "outside.png")
    for name in ("../outside.png", str(tmp_path / "outside.png"), "missing.png", "x" * 5000):
        material.write_text(f"newmtl a_b\nmap_Kd {name}\n")
        with pytest.warns(FileWarning, match=r"a b\.obj: no texture .* is not beside it"):
            assert Mesh.load(folder / "a b.obj").texture is None
    (folder / "t.png").write_bytes(b"no image")
    material.write_text("newmtl a_b\nmap_Kd -s 1 1 1 t.png\n")
    with pytest.warns(FileWarning, match=r"a b\.obj: no texture .*t\.png: the texture cannot be used"):
        assert Mesh.load(folder / "a b.obj").texture is None


OBJ = b"""\xef# a comment
mtllib none.mtl
v 0 0 0
v 1 0 0 # behind a statement
\tv  1\t1  0
v 0 1 0\r
v 0 2 0
vt 0 0
vt 1 0 0
vt .5
o thing
f 1 2 3
g left right
f 1/1 2/2 3/3 4/1
g
f -5//1 -4//1 -3//1 5//1 4//1
usemtl m
g right
f 1/1/1 \\
  2/2/1 \\
  3/3/1
v 0 0 1e1
f 1/ -1/-1/ 3//
vn 0 0 1
l 1 2
p 1
curv 0 1 1 2
"""


@pytest.mark.filterwarnings("ignore::likeness.FileWarning")  # none.mtl is not there
def test_the_dialects_of_obj(tmp_path: Path) -> None:
    path = tmp_path / "a.obj"
    path.write_bytes(OBJ)
    mesh = Mesh.load(path)
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 2, 0], [0, 0, 10]]
    fan = [[0, 1, 2], [0, 2, 4], [0, 4, 3]]
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 1, 2], [0, 2, 3], *fan, [0, 1, 2], [0, 5, 2]]
    assert mesh.quads is not None
    assert mesh.quads.tolist() == [1]
    none = 3  # corners without uv get a (0, 0) of their own
    assert mesh.uv is not None
    assert mesh.uv.tolist() == [[0, 0], [1, 0], [0.5, 0], [0, 0]]
    assert mesh.uv_triangles is not None
    fan = [[none] * 3] * 3
    assert mesh.uv_triangles.tolist() == [[none] * 3, [0, 1, 2], [0, 2, 0], *fan, [0, 1, 2], [none, 2, none]]
    assert {name: members.tolist() for name, members in (mesh.groups or {}).items()} == {
        "thing": list(range(8)),
        "left": [1, 2],
        "right": [1, 2, 6, 7],
    }
    assert mesh.texture is None


@pytest.mark.parametrize(
    ("colors", "expected"),
    [
        ("255 0 51|0 0 0|1 1 1", [[1, 0, 0.2], [0, 0, 0], [1 / 255] * 3]),
        ("1 0 .2|0 0 0|1 1 1", [[1, 0, 0.2], [0, 0, 0], [1, 1, 1]]),
        ("1 0 .2||1 1 1", None),
    ],
)
def test_obj_colours(tmp_path: Path, colors: str, expected: list | None) -> None:
    path = tmp_path / "a.obj"
    path.write_text("\n".join(f"v 0 {i} 0 {c}" for i, c in enumerate(colors.split("|"))) + "\nf 1 2 3\n")
    found = Mesh.load(path).colors
    assert (found is None) == (expected is None)
    if found is not None:
        np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("v 1 2", "line 9: expected 3 to 7 numbers after 'v', got 2"),
        ("v 1 2 x3", "line 9: expected a number, got 'x3'"),
        ("v 1 2 nan\nf 1 2 5", "line 9: expected finite numbers after 'v', a face has this vertex"),
        ("v 1 2 1e999\nf 1 2 -1", "line 9: expected finite"),
        ("f 1 2 5", r"line 9: expected a corner with vertex 1\.\.4, got '5'"),
        ("f 1 2 -5", "line 9: .* got '-5'"),
        ("f 1 2 0", "line 9: .* got '0'"),
        ("f 1 2 1/1/1/1", "line 9: .* got '1/1/1/1'"),
        ("f 1 2 3.5", "line 9: expected a number, got '3.5'"),
        ("f 1 2 " + "9" * 30, "line 9: expected a number, got '9"),
    ],
)
def test_a_bad_obj_line_is_named_by_its_number(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "a.obj"
    path.write_text(f"# one\nv 0 0 0\nv 1 \\\n0 \\\n0\nv 0 1 0\nv 0 0 1\nvt 0 0\n{line}\nf 1 2 3\nf 1/1 2 3\n")
    with pytest.raises(FileError, match=rf"a\.obj: {message}"):
        Mesh.load(path)


def ply(order: str, vertex: str, face: str, body: bytes, extra: str = "") -> bytes:
    encoding = {"<": "binary_little_endian", ">": "binary_big_endian", "": "ascii"}[order]
    return f"ply\nformat {encoding} 1.0\ncomment made by hand\n{vertex}{face}{extra}end_header\n".encode() + body


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("counts", [(3, 3), (3, 4), (5, 3)])
def test_the_dialects_of_binary_ply(tmp_path: Path, order: str, counts: tuple[int, int]) -> None:
    """Elements and properties that we have no use for, mixed types, faces of one and of several sizes."""
    positions = np.random.default_rng(9).normal(size=(5, 3)).round(3)
    body = b"".join(struct.pack(order + "B", 7) * 3 for _ in range(2))
    for i, p in enumerate(positions):
        body += struct.pack(order + "ddhf4B", p[0], p[1], i, p[2], 255, 51, 0, 9)
    faces = [list(range(count)) for count in counts]
    for face in faces:
        body += struct.pack(f"{order}fH{len(face)}iB2f", 1.5, len(face), *face, 2, 0.1, 0.2)
    header = "element odd 2\nproperty uchar a\nproperty uchar b\nproperty uchar c\nelement vertex 5\n"
    header += "property double x\nproperty double y\nproperty short id\nproperty float z\n"
    header += "".join(f"property uchar {name}\n" for name in ("red", "green", "blue", "alpha"))
    face_header = "element face 2\nproperty float quality\nproperty list ushort int vertex_index\n"
    face_header += "property list uchar float texcoord\n"
    path = tmp_path / "a.ply"
    path.write_bytes(ply(order, header, face_header, body))
    mesh = Mesh.load(path)
    np.testing.assert_allclose(mesh.vertices, positions, atol=1e-6)
    np.testing.assert_allclose(mesh.colors, [[1, 0.2, 0]] * 5)
    assert mesh.triangles.tolist() == [[0, i + 1, i + 2] for count in counts for i in range(count - 2)]
    assert (mesh.quads is not None) == (4 in counts)


VERTEX = "element vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
STRIPS = "element tristrips 1\nproperty list int int vertex_indices\n"
FACE = "element face 1\nproperty list uchar int vertex_indices\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"solid", "a header from 'ply' to 'end_header'"),
        (b"ply\nformat ascii 1.0\n" + b"comment\n" * 200000 + b"end_header\n", "a header from"),
        (ply("<", VERTEX.replace("3", "1000000000"), FACE, b"0" * 99), "claims 1000000000 of element 'vertex'"),
        (ply("<", VERTEX.replace("3", "-3"), FACE, b"0" * 99), "line 4: expected a PLY header line"),
        (ply("<", VERTEX.replace("float", "quad"), FACE, b"0" * 99), "line 5: expected a PLY header line"),
        (ply("<", VERTEX, FACE.replace("1", "4000000000"), b"0" * 99), "claims 4000000000 of element 'face'"),
        (ply("<", VERTEX, FACE, bytes(36) + b"\xff" + bytes(40)), "expected 1 of element 'face', damaged"),
        (ply("<", VERTEX, FACE, bytes(36) + b"\x02" + bytes(40)), "faces of 3 or more"),
        (ply("<", VERTEX, FACE, bytes(36) + b"\3" + struct.pack("<3i", 0, 1, 3)), r"vertices 0\.\.2"),
        (ply("<", VERTEX.replace("z", "w"), FACE, bytes(49)), r"vertices \(x, y, z\), found none"),
        (ply("<", VERTEX, FACE, struct.pack("<9fB3i", *[np.nan] * 9, 3, 0, 1, 2)), "finite vertices"),
        (ply("", VERTEX, FACE, b"0 0 0 1 0 0 0 1 zero 3 0 1 2"), "expected numbers after the PLY header"),
        (ply("", VERTEX, FACE, b"0 0 0 1 0 0 0 1 0 3 0 1"), "damaged"),
        (ply("", VERTEX, FACE, b"0 0 0 1 0 0 0 1 0 3 0 1 .5"), "whole indices"),
        (ply("", VERTEX, FACE, b"0 0 0 1 0 0 0 1 0 nan 0 1 2"), "damaged"),
        (ply("", VERTEX, STRIPS, b"0 " * 9 + b"4 0 1 2 3"), r"vertices 0\.\.2"),
        (ply("", VERTEX, STRIPS, b"0 " * 9 + b"5 0 1 2 -2 1"), r"vertices 0\.\.2"),
        (ply("", VERTEX, STRIPS, b"0 " * 9 + b"4 0 1 2 .5"), "whole indices"),
        (ply("", VERTEX, STRIPS, b"0 " * 9 + b"4 0 1 2 nan"), "whole indices"),
        (ply("", VERTEX, "", b"0 " * 9).replace(b"format ascii 1.0\n", b""), "got none"),
    ],
)
def test_a_bad_ply_is_refused_without_believing_its_header(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.ply"
    path.write_bytes(content)
    with pytest.raises(FileError, match=rf"a\.ply: .*{message}"):
        Mesh.load(path)


@pytest.mark.filterwarnings("ignore::likeness.FileWarning")
@pytest.mark.parametrize("name", [*SAVERS, "d.stl"])
def test_random_damage_gives_a_mesh_or_a_file_error_of_one_line(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(10)
    path = tmp_path / name
    SAVERS.get(name, lambda path, mesh: mesh.save(path))(path, sheet(seams=name == "a.obj"))
    good = path.read_bytes()
    refused = 0
    for _ in range(150):
        bad = bytearray(good[: rng.integers(1, len(good))] if rng.random() < 0.3 else good)
        for _ in range(rng.integers(0, 4)):
            bad[rng.integers(len(bad))] = rng.integers(256)
        path.write_bytes(bad)
        message = ""
        try:
            Mesh.load(path)
        except FileError as error:
            message = str(error)
        assert "\n" not in message
        refused += bool(message)
    assert refused > 20


def test_files_that_are_none_and_suffixes_that_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "empty.obj").write_bytes(b"")
    (tmp_path / "folder.ply").mkdir()
    (tmp_path / "image.obj").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    (tmp_path / "prose.obj").write_text("It was a dark and stormy night.\n")
    for name, message in {
        "empty.obj": "empty",
        "folder.ply": "cannot be read",
        "missing.glb": "cannot be read",
        "image.obj": "binary",
        "prose.obj": "no vertex",
        "head.fbx": "or .glb, got .fbx",
        "head": "got no suffix",
    }.items():
        with pytest.raises(FileError, match=message):
            Mesh.load(tmp_path / name)
    with pytest.raises(FileError, match="glb, got"):
        sheet().save(tmp_path / "head.fbx")
    assert not (tmp_path / "head.fbx").exists()


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".stl", ".glb"])
def test_a_folder_that_is_not_there_is_an_error_and_nothing_is_left(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(FileError, match="cannot be written"):
        sheet().save(tmp_path / "no" / f"head{suffix}")
    assert not list(tmp_path.iterdir())
