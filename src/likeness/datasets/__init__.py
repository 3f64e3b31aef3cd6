"""What training reads: tars and folders of pictures with whatever is known of each, and rendered faces."""

from __future__ import annotations

from likeness.datasets.image_store import DECODED_LIMIT, ImageStore
from likeness.datasets.memory_maps import SyntheticFaces
from likeness.datasets.pictures import Frames, Photos
from likeness.datasets.training import Opened, open_sources, read_frames, read_photos

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
