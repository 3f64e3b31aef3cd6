"""Triangle meshes: the class, its files, surfaces and Laplacians."""

from likeness.mesh.laplacians import laplacian
from likeness.mesh.mesh import Mesh
from likeness.mesh.normals import vertex_normals
from likeness.mesh.symmetry import mirror_map

__all__ = ["Mesh", "laplacian", "mirror_map", "vertex_normals"]
