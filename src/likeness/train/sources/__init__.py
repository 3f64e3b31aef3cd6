"""What training reads: tars and folders of pictures with whatever is known of each, and rendered faces."""

from __future__ import annotations

from likeness.train.sources.opened import Opened, open_sources, read_frames, read_photos
from likeness.train.sources.pictures import Frames, Photos
from likeness.train.sources.rendered import SyntheticFaces
from likeness.train.sources.store import DECODED_LIMIT, ImageStore

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
