"""Other programs that open our files; tests of them are skipped, by name, where a program is not installed.

`make validate-gltf` puts the Khronos validator and three.js into ``.node``. Chromium is found as ``chromium`` or
``chromium-headless-shell``, or by the variable CHROMIUM; Blender as ``blender`` or as the module ``bpy``.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

SCRIPTS = Path(__file__).parent / "elsewhere"
PACKAGES = Path(__file__).parents[1] / ".node" / "node_modules"


def khronos(paths: Iterable[Path]) -> dict[str, list[str]]:
    """What the Khronos validator says of GLB files by file name: errors, warnings, hints; [] where all is well."""
    files = list(paths)
    said = _node("gltf-validator", SCRIPTS / "validate.cjs", *files).splitlines()
    return {file.name: json.loads(line) for file, line in zip(files, said, strict=True)}


def three(path: Path) -> dict[str, Any]:
    """What an application of three.js sees of a GLB file without textures."""
    seen: dict[str, Any] = json.loads(_node("three", SCRIPTS / "three_head.mjs", PACKAGES, path))
    return seen


def three_whole(path: Path) -> dict[str, Any]:
    """What an application of three.js sees of a GLB file of a whole head without textures, and where it has the left
    iris at rest, looking up by the shape, and by the joint."""
    seen: dict[str, Any] = json.loads(_node("three", SCRIPTS / "three_whole.mjs", PACKAGES, path))
    return seen


def _node(package: str, script: Path, *arguments: Path) -> str:
    node = shutil.which("node")
    if node is None or not (PACKAGES / package).is_dir():
        pytest.skip(f"Node or its package {package} is not installed (make validate-gltf)")
    command = [node, script, *arguments]
    environment = os.environ | {"NODE_PATH": str(PACKAGES)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def chromium(path: Path, shapes: Iterable[str], folder: Path) -> dict[str, np.ndarray]:
    """Pictures (256, 256, 3) of a GLB file drawn by three.js in Chromium: ``rest``, and each shape at weight 1."""
    names = ("chromium", "chromium-headless-shell", "google-chrome")
    browser = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if browser is None or not (PACKAGES / "three").is_dir():
        pytest.skip("Chromium or three.js is not installed (make validate-gltf; CHROMIUM)")
    page = (SCRIPTS / "three_page.html").read_text()
    for word, value in (
        ("THREE/", (PACKAGES / "three").as_uri() + "/"),
        ('"GLB"', f'"{base64.b64encode(path.read_bytes()).decode()}"'),
        ("SHAPES", json.dumps(list(shapes))),
    ):
        page = page.replace(word, value)
    (folder / "page.html").write_text(page)
    options = ["--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    options += [
        "--allow-file-access-from-files",
        f"--user-data-dir={folder / 'browser'}",
        "--virtual-time-budget=60000",
    ]
    command = [browser, *options, "--dump-dom", (folder / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    found = re.search(r'<pre id="seen">(.+?)</pre>', done.stdout)
    assert found, done.stderr[-2000:]
    seen = json.loads(html.unescape(found[1]))
    assert "error" not in seen, seen
    return {name: _decoded(url) for name, url in seen.items()}


def _decoded(url: str) -> np.ndarray:
    data = base64.b64decode(url.split(",")[1])
    return np.ascontiguousarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1])


def blender(path: Path) -> dict[str, Any]:
    """What Blender makes of a GLB file."""
    script = str(SCRIPTS / "blender_head.py")
    program = shutil.which("blender")
    if program is None and find_spec("bpy") is None:
        pytest.skip("Blender is not installed, neither the program nor bpy")
    start = [sys.executable, script] if program is None else [program, "--background", "--python", script]
    command = [*start, "--", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    found = re.search(r"^SEEN (.*)$", done.stdout, re.MULTILINE)
    assert found, done.stderr[-2000:]
    seen: dict[str, Any] = json.loads(found[1])
    return seen
