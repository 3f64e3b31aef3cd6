"""STL: our reader and writer agree with each other and with trimesh's, and damaged files are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from likeness.errors import FileError
from likeness.mesh import Mesh
from likeness.mesh.stl import read_stl, write_stl

ASCII = """solid a
facet normal 0 0 1
  outer loop
    vertex 0 0 0
    vertex 1.5e0 0 0
    vertex 0 -2 0
  endloop
endfacet
 FACET NORMAL 0 0 1
  OUTER LOOP
    VERTEX 1.5 0 0
    VERTEX 0 0 0
    VERTEX 0 0 7
  ENDLOOP
 ENDFACET
endsolid a
"""


def solid(seed: int = 0) -> Mesh:
    rng = np.random.default_rng(seed)
    return Mesh(rng.uniform(-100, 100, (20, 3)), rng.permuted(np.tile(np.arange(20), (30, 1)), axis=1)[:, :3])


def test_text_is_read(tmp_path: Path) -> None:
    for number, text in enumerate((ASCII, ASCII.replace("\n", "\r\n"))):
        path = tmp_path / f"{number}.stl"
        path.write_bytes(text.encode())
        mesh = read_stl(path)
        assert mesh.vertices.tolist() == [[0, 0, 0], [1.5, 0, 0], [0, -2, 0], [0, 0, 7]]
        assert mesh.triangles.tolist() == [[0, 1, 2], [1, 0, 3]]


def test_a_binary_file_that_begins_like_text_is_binary(tmp_path: Path) -> None:
    write_stl(tmp_path / "a.stl", solid())
    data = (tmp_path / "a.stl").read_bytes()
    (tmp_path / "b.stl").write_bytes(b"solid" + data[5:])
    np.testing.assert_array_equal(read_stl(tmp_path / "b.stl").vertices, read_stl(tmp_path / "a.stl").vertices)


def test_trimesh_reads_what_is_written_and_writes_what_is_read(tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    mesh = solid(1)
    write_stl(tmp_path / "a.stl", mesh)
    seen = trimesh.load_mesh(tmp_path / "a.stl", process=False)
    corners = mesh.vertices[mesh.triangles].astype(np.float32)
    np.testing.assert_array_equal(seen.triangles.astype(np.float32), corners)
    np.testing.assert_allclose(seen.face_normals, mesh.triangle_normals(), atol=1e-5)
    for kind in ("stl", "stl_ascii"):
        written = trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False).export(file_type=kind)
        (tmp_path / "b.stl").write_bytes(written if isinstance(written, bytes) else written.encode())
        back = read_stl(tmp_path / "b.stl")
        np.testing.assert_allclose(back.vertices[back.triangles], corners, rtol=1e-5)


@pytest.mark.parametrize(
    "data",
    [
        b"solid a\n",
        ASCII[: len(ASCII) // 2].encode(),
        ASCII.replace("1.5e0", "north").encode(),
        ASCII.replace("    vertex 0 -2 0\n", "").encode(),
        b"\0" * 84,
        b"\0" * 80 + b"\xff\xff\xff\xff",
        b"\0" * 80 + (2).to_bytes(4, "little") + b"\0" * 50,
        b"no mesh",
    ],
)
def test_damaged_files_are_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.stl").write_bytes(data)
    with pytest.raises(FileError, match=r"a\.stl: expected"):
        read_stl(tmp_path / "a.stl")


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.stl").write_bytes(ASCII.replace("1.5e0", "nan").encode())
    with pytest.raises(FileError, match="finite"):
        read_stl(tmp_path / "a.stl")
