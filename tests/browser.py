"""Pages in headless Chromium, by Playwright; tests are skipped, by name, where either is not installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from other_programs import PACKAGES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-headless-shell", "google-chrome")
OPTIONS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


@contextmanager
def launched() -> Iterator[Browser]:
    """Chromium; one at a time in a process."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("Chromium is not installed (CHROMIUM)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, width: int = 900, height: int = 600) -> Iterator[tuple[Page, list[str]]]:
    """A fresh page, and the list of what goes wrong on it: errors, errors of the console, requests to a network."""
    page = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
    page.set_default_timeout(60_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("console", lambda line: wrong.append(f"{line.type}: {line.text}") if line.type == "error" else None)
    page.on("request", lambda asked: wrong.append(f"request: {asked.url}") if is_remote(asked.url) else None)
    try:
        yield page, wrong
    finally:
        page.close()


def is_remote(address: str) -> bool:
    return not address.startswith(("file:", "data:", "blob:"))


def violations(page: Page) -> list[str]:
    """What axe says against a page: rule and elements."""
    script = PACKAGES / "axe-core" / "axe.min.js"
    if not script.is_file():
        pytest.skip("axe-core is not installed (make validate-gltf)")
    page.evaluate(script.read_text())
    found: dict[str, Any] = page.evaluate("axe.run()")
    return [f"{one['id']}: {[node['html'][:120] for node in one['nodes']]}" for one in found["violations"]]


def picture(data: bytes) -> np.ndarray:
    """A PNG's pixels (H, W, 3) uint8 RGB."""
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(decoded[..., ::-1])


def perceptual_distance(a: np.ndarray, b: np.ndarray) -> float:
    """0: the same, to 1: 1 minus the structural similarity (Wang et al. 2004) of lightness, in windows of 7 pixels of
    pictures (H, W, 3) uint8 at half their size, so that what edges do between two renderers does not count."""
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    grey = [
        cv2.resize(cv2.cvtColor(one, cv2.COLOR_RGB2GRAY), (one.shape[1] // 2, one.shape[0] // 2), None, 0, 0, 3)
        for one in (a, b)
    ]
    return float(1 - metrics.structural_similarity(grey[0], grey[1]))
