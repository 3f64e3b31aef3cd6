"""Archives of photos: any number of them to tables of faces (Parquet), by one process, several, or a Ray cluster.

    from likeness.cluster import list_photos, reconstruct_archive
    archive = reconstruct_archive(list_photos(["s3://bucket/photos"]), "tables")

The result is the same whoever does the work, and however often it was interrupted (docs/scale.md).
"""

from __future__ import annotations

from likeness.cluster.archive import Archive, reconstruct_archive
from likeness.cluster.engines import Engine, by_ray, here
from likeness.cluster.photos import PhotoAt, list_photos

__all__ = ["Archive", "Engine", "PhotoAt", "by_ray", "here", "list_photos", "reconstruct_archive"]
