"""A server for tests, and the photo that they send."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

from starlette.testclient import TestClient

from likeness.images.encode import jpeg_bytes
from likeness.serve import Limits, create_app
from likeness.serve.studio import Studio

BASE = "http://127.0.0.1:8080"


def astronaut_jpeg() -> bytes:
    """The photo of examples/demo_photo.py."""
    return jpeg_bytes(pytest.importorskip("skimage.data").astronaut(), 95)


def jpeg_of(height: int, width: int) -> bytes:
    """A photo without a face."""
    return jpeg_bytes(np.full((height, width, 3), 128, np.uint8), 90)


@contextmanager
def serving(limits: Limits | None = None, keep: Path | None = None, **changes: Any) -> Iterator[TestClient]:
    """A client of a new server; processes start when they are needed."""
    studio = Studio({"threads": 1}, replace(limits or Limits(), **changes), keep)
    with TestClient(create_app(studio, warm=False), base_url=BASE, raise_server_exceptions=False) as client:
        yield client


def another(client: TestClient) -> TestClient:
    """Another user of the same server."""
    return TestClient(client.app, base_url=BASE, raise_server_exceptions=False)
