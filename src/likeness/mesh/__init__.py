"""Triangle meshes: the class, its files, surfaces and Laplacians."""

from likeness.mesh.mesh import Mesh, cotangent_laplacian, laplacian, mirror_map, vertex_normals

__all__ = ["Mesh", "cotangent_laplacian", "laplacian", "mirror_map", "vertex_normals"]
