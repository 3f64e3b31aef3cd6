"""Files of others -> pictures, people, landmarks, pairs: whatever training and evaluation read.

The names below are what training reads; they are loaded at first use. More is in the modules they come from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from likeness.lazy import lazy_names

if TYPE_CHECKING:
    from likeness.datasets.image_store import DECODED_LIMIT, ImageStore
    from likeness.datasets.memory_maps import SyntheticFaces
    from likeness.datasets.pictures import Frames, Photos
    from likeness.datasets.training import Opened, open_sources, read_frames, read_photos

_HOMES = {
    "DECODED_LIMIT": "datasets.image_store",
    "Frames": "datasets.pictures",
    "ImageStore": "datasets.image_store",
    "Opened": "datasets.training",
    "Photos": "datasets.pictures",
    "SyntheticFaces": "datasets.memory_maps",
    "open_sources": "datasets.training",
    "read_frames": "datasets.training",
    "read_photos": "datasets.training",
}

__all__ = [
    "DECODED_LIMIT",
    "Frames",
    "ImageStore",
    "Opened",
    "Photos",
    "SyntheticFaces",
    "open_sources",
    "read_frames",
    "read_photos",
]

__getattr__, __dir__ = lazy_names("likeness.datasets", _HOMES)
