"""What the documentation says is so: its code runs, its commands parse, its links lead somewhere."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import docs_blocks
import numpy as np
import other_programs
import pytest
from docs_blocks import PAGES, ROOT, Block, blocks

from likeness import ARKIT_NAMES, Reconstructor, __version__
from likeness.model.head import write_head_glb

sys.path.insert(0, str(ROOT / "docs" / "tools"))
import code_lines

LANGUAGES = {"", "bash", "python", "js", "csharp", "text", "json"}
ALL = [block for page in PAGES for block in blocks(page)]


def of(language: str) -> list[Block]:
    return [block for block in ALL if block.language == language]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the pages speak of: a photo, and the head of it."""
    import cv2

    folder = tmp_path_factory.mktemp("docs")
    photo = pytest.importorskip("skimage.data").astronaut()
    cv2.imwrite(str(folder / "photo.jpg"), photo[..., ::-1])
    (face,) = Reconstructor()(photo, max_faces=1)
    face.save(folder, formats=("glb", "obj"), name="head")
    return folder


RUNNING = [page for page in PAGES if any(docs_blocks.runs(block) for block in blocks(page))]


@pytest.mark.parametrize("page", RUNNING, ids=lambda page: page.stem)
def test_pages_run_from_top_to_bottom(
    page: Path, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    docs_blocks.run(page, capsys)


@pytest.mark.parametrize("block", [block for block in of("python") if not docs_blocks.runs(block)], ids=str)
def test_python_that_needs_data_compiles_and_names_what_exists(block: Block) -> None:
    docs_blocks.check_python(block)


@pytest.mark.parametrize("block", [block for block in of("bash") if block.reason], ids=str)
def test_commands_that_need_data_are_understood(block: Block) -> None:
    for words in docs_blocks.commands(block):
        (docs_blocks.parse if words[0] == "likeness" else docs_blocks.check_other)(words)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a server that runs."""
    pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    pytest.importorskip("httpx", reason="httpx is not installed")
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "likeness", "serve", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(240):
                with socket.socket() as client:
                    if client.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert server.poll() is None, "the server ended"
                time.sleep(0.25)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


@pytest.mark.parametrize("block", [block for block in ALL if block.served], ids=str)
def test_requests_are_answered(block: Block, address: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    docs_blocks.run_requests(block, address)


def test_what_is_not_understood_is_told() -> None:
    with pytest.raises(SystemExit):
        docs_blocks.parse(["likeness", "reconstruct", "photo.jpg", "--no-such-option"])
    with pytest.raises(AssertionError):
        docs_blocks.check_other(["make", "nothing-of-this-name"])
    with pytest.raises(LookupError):
        code_lines.line_of(ROOT / "src/likeness/train/losses/sir.py", "SirLoss.forward: no such code")


def test_every_block_says_its_language_and_commands_are_in_blocks() -> None:
    assert {block.language for block in ALL} <= LANGUAGES
    for page in PAGES:
        outside = code_lines.without_code(page.read_text())
        command = re.search(r"^(?: {4}|\t)(?:likeness|python|pip|from|import|docker|curl) ", outside, re.MULTILINE)
        assert command is None, f"{page.name}: {command}"


@pytest.mark.parametrize("block", of("js"), ids=str)
def test_javascript_runs_in_three(block: Block, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not (other_programs.PACKAGES / "three").is_dir():
        pytest.skip("Node or three.js is not installed (make validate-gltf)")
    model = Reconstructor().model
    write_head_glb(tmp_path / "head.glb", model, model.mesh(np.zeros(128)))
    (tmp_path / "block.mjs").write_text(block.code)
    script = str(other_programs.SCRIPTS / "three_block.mjs")
    command = [node, script, str(other_programs.PACKAGES), *(str(tmp_path / n) for n in ("block.mjs", "head.glb"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["jawOpen"] == pytest.approx(0.7)


def test_other_programs_are_told_names_that_the_files_have() -> None:
    for block in of("csharp"):
        names = re.findall(r'"(\w+)"', block.code)
        assert names
        assert set(names) <= set(ARKIT_NAMES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT / "docs")))
def test_links_lead_somewhere_and_code_is_where_they_say(page: Path) -> None:
    for link in code_lines.links(page.read_text()):
        address = link["target"].partition("#")[0]
        if not address or address.startswith(("http", "mailto")):
            continue
        path = page.parent / address
        assert path.exists(), address
        if link["title"] and path.suffix == ".py":
            code_lines.line_of(path.resolve(), link["title"])


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    for page in PAGES:
        assert f": {page.relative_to(ROOT / 'docs')}\n" in navigation, page.name


def test_every_loss_and_metric_is_written_out() -> None:
    """Every file of formulas is linked to: a new loss or metric without a formula on these pages is noticed."""
    text = "".join(page.read_text() for page in PAGES if page.parent.name == "formulas")
    for folder in ("train/losses", "metrics"):
        for path in (ROOT / "src/likeness" / folder).glob("*.py"):
            if path.name not in {"__init__.py", "records.py"}:
                assert f"{folder}/{path.name}" in text, path.name


def test_the_pictures_say_what_the_page_says() -> None:
    page = (ROOT / "docs/concepts.md").read_text()
    figures = json.loads((ROOT / "docs/pictures/figures.json").read_text())
    sphere, domains = figures["sphere"], figures["domains"]
    for told in (
        f"{np.degrees(sphere['angle']):.0f} degrees",
        f"middle is {sphere['middle on the sphere, mm from the mean']:.1f} mm",
        f"middle is {sphere['middle straight through, mm from the mean']:.1f} mm",
        f"{domains['seen, mm']:.1f} mm over the face",
        f"{domains['unseen, mm']:.1f} mm.",
        f"{100 * domains['share of the variance in the half that shows least']:.1f} %",
    ):
        assert told in page, told
    for name in ("steady, not true", "true, not steady", "both", "mean face"):
        row = figures["two things"][name]
        assert f"| {row['rms']:.1f} mm | {row['auc']:.2f} | {row['sir']:.1f} |" in page, name


def test_documentation_stays_light() -> None:
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs").rglob("*") if path.is_file()}
    assert sum(sizes.values()) < 3_000_000, sizes


def test_the_reference_has_every_public_name() -> None:
    import likeness

    text = "".join(page.read_text() for page in (ROOT / "docs/api").glob("*.md"))
    for name in likeness.__all__:
        home = getattr(likeness, name, None)
        module = getattr(home, "__module__", "")
        assert name in text or f"::: {module}\n" in text, name


def test_citation_names_this_version() -> None:
    assert f"version: {__version__}" in (ROOT / "CITATION.cff").read_text()
