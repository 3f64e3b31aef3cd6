"""The app and the REST API: photographs dropped on a page become heads (`likeness serve`; extra ``[serve]``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from likeness.lazy import lazy_names
from likeness.serve.limits import Limits

if TYPE_CHECKING:
    from likeness.serve.app import create_app
    from likeness.serve.run import run_server

__all__ = ["Limits", "create_app", "run_server"]

__getattr__, __dir__ = lazy_names("likeness.serve", {"create_app": "serve.app", "run_server": "serve.run"})
