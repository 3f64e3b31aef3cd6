"""What the package shows was built from the sources in ``web``."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WEB, BUILT = ROOT / "web", ROOT / "src" / "likeness" / "view" / "built"
ENTRIES = ("viewer", "app")
LARGEST = 1_200_000


def sources_of(entry: str) -> list[str]:
    """An entry's sources, as ``web/vite.config.ts`` lists them."""
    others = tuple(f"src/{other}/" for other in ENTRIES if other != entry)
    found = (path.relative_to(WEB) for path in WEB.rglob("*") if path.is_file() and path.suffix != ".md")
    visible = (p for p in found if "node_modules" not in p.parts and not any(x.startswith(".") for x in p.parts))
    return sorted(path for path in map(Path.as_posix, visible) if not path.startswith(others))


@pytest.mark.parametrize("entry", ENTRIES)
def test_what_is_built_is_of_these_sources(entry: str) -> None:
    state = hashlib.sha256()
    for path in sources_of(entry):
        state.update(path.encode() + b"\0" + (WEB / path).read_bytes() + b"\0")
    recorded = (BUILT / f"{entry}.sha256").read_text().strip()
    assert recorded == state.hexdigest(), f"{entry}.js is stale: run `make web` and commit what it built"


def test_every_entry_lists_what_it_shares_and_its_own() -> None:
    for entry in ENTRIES:
        listed = sources_of(entry)
        assert {"package-lock.json", "vite.config.ts", "src/head/view.ts", f"src/{entry}/main.ts"} <= set(listed)


@pytest.mark.parametrize("entry", ENTRIES)
def test_what_is_built_is_small_and_asks_for_nothing(entry: str) -> None:
    script = (BUILT / f"{entry}.js").read_text()
    assert len(script) < LARGEST
    assert "</script" not in script.lower()
