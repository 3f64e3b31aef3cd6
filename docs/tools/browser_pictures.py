"""What docs/open_elsewhere.md shows of three.js, and docs/viewer.md of the viewer: pictures of a head in Chromium.

    python docs/tools/browser_pictures.py HEAD.glb [--three .node/node_modules/three] [--out docs/pictures]

Needs Playwright and a Chromium on the path, and three.js (``make validate-gltf`` puts it there). ``HEAD.glb`` is a
result of ``likeness reconstruct``; its photo is shown beside it.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from likeness.cli.main import main as likeness

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HERE = Path(__file__).parent
NAMES = ("chromium", "chromium-headless-shell", "google-chrome")
OPTIONS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
QUALITY, PATIENCE_MS = 82, 240_000


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and keeps silent about it."""

    def log_message(self, *_: object) -> None:
        pass


def draw_three(browser: Browser, head: Path, three: Path, out: Path) -> None:
    """A head at rest and with its mouth open, by ``three_picture.html``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(HERE / "three_picture.html", folder)
        shutil.copy(head, folder / "HEAD.glb")
        (folder / "three").symlink_to(three.resolve(), target_is_directory=True)
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=name))
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            page = browser.new_page(viewport={"width": 560, "height": 380})
            page.set_default_timeout(PATIENCE_MS)
            page.goto(f"http://127.0.0.1:{server.server_port}/three_picture.html")
            page.wait_for_function("document.title === 'drawn'")
            page.screenshot(path=out, type="jpeg", quality=QUALITY)
            page.close()
        finally:
            server.shutdown()
            server.server_close()


def draw_viewer(browser: Browser, head: Path, out: Path) -> None:
    """The head beside its photo, in the viewer's page."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "head.html"
        likeness(["view", str(head), "-o", str(path), "--no-open"])
        page = browser.new_page(viewport={"width": 1200, "height": 760}, reduced_motion="reduce")
        page.set_default_timeout(PATIENCE_MS)
        page.goto(path.as_uri())
        page.evaluate("likeness.ready.then((v) => { v.setPhoto('beside'); v.view.render(); })")
        page.get_by_text("Beside", exact=True).click()
        page.screenshot(path=out, type="jpeg", quality=QUALITY)
        page.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Pictures of a head in three.js and in the viewer.")
    parser.add_argument("head", type=Path)
    parser.add_argument("--three", type=Path, default=Path(".node/node_modules/three"))
    parser.add_argument("--out", type=Path, default=HERE.parent / "pictures")
    arguments = parser.parse_args()
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None or not (arguments.three / "package.json").is_file():
        raise SystemExit(f"expected Chromium, and three.js in {arguments.three} (make validate-gltf)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        try:
            draw_three(browser, arguments.head, arguments.three, arguments.out / "three.jpg")
            draw_viewer(browser, arguments.head, arguments.out / "viewer.jpg")
        finally:
            browser.close()


if __name__ == "__main__":
    main()
