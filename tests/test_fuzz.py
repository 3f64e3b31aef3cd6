"""Damaged files, thousands of them: every reader answers or refuses with FileError, within bounded memory and time.

For a third of a second a reader here; ``make fuzz`` gives all of them ``FUZZ_SECONDS`` together (an hour). What
crashes is added to ``fuzz_seeds.json``, as the damage that is done to a file made by code, and stays a test.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from fuzz_damage import Mutation, damaged, run
from fuzz_more_targets import MORE
from fuzz_targets import TARGETS as FIRST
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from likeness.model.face_model import FaceModel

TARGETS = FIRST | MORE
SEEDS = Path(__file__).parent / "fuzz_seeds.json"
TOTAL = float(os.environ.get("FUZZ_SECONDS", "0"))
SECONDS = TOTAL / len(TARGETS) if TOTAL else 0.3
MEMORY = 2 << 30
"""Bytes of address space that a reader may take, as the system counts it: a lying header asks for more."""

LONGEST = 60
"""Seconds after which a reader counts as hanging, on a busy machine."""

mutations = st.lists(
    st.tuples(
        st.sampled_from(("flip", "flip", "lie", "lie", "digits", "cut", "copy")),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 1023),
    ),
    min_size=1,
    max_size=3,
)


@contextmanager
def bounded() -> Iterator[None]:
    """Refuses more memory than ``MEMORY``, and ends what takes longer than ``LONGEST``."""
    resource = pytest.importorskip("resource")
    try:
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        taken = 0
    before = resource.getrlimit(resource.RLIMIT_AS)

    def hangs(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"still reading after {LONGEST} s")

    handler = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(LONGEST)
    if taken:
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, before[1]))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)


@pytest.mark.parametrize("name", TARGETS)
def test_the_file_that_is_damaged_is_read_as_it_is(name: str, small_model: FaceModel, tmp_path: Path) -> None:
    target = TARGETS[name]
    path = tmp_path / target.name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(target.sealed(target.valid(small_model)))
    target.read(path, small_model)


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_are_read_or_refused(name: str, small_model: FaceModel) -> None:
    target, content = TARGETS[name], TARGETS[name].valid(small_model)
    end = time.monotonic() + SECONDS

    @settings(
        max_examples=100 if TOTAL else 150,
        deadline=None,
        derandomize=not TOTAL,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(mutations)
    def one(done: Sequence[Mutation]) -> None:
        if time.monotonic() > end:
            return
        with tempfile.TemporaryDirectory() as folder, bounded():
            try:
                run(target, damaged(content, done), small_model, Path(folder))
            except BaseException as error:
                if TOTAL:
                    _keep(name, error, done)
                raise

    one()
    while TOTAL and time.monotonic() < end:
        one()


def _seeds() -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(SEEDS.read_text())
    return found


def _keep(name: str, error: BaseException, done: Sequence[Mutation]) -> None:
    """Write down what crashed, in place of what crashed alike: hypothesis goes on to smaller damage."""
    found = [seed for seed in _seeds() if (seed["target"], seed["error"]) != (name, type(error).__name__)]
    found.append({"target": name, "error": type(error).__name__, "mutations": [list(one) for one in done]})
    SEEDS.write_text("[\n" + ",\n".join(json.dumps(seed) for seed in found) + "\n]\n")


@pytest.mark.parametrize("seed", _seeds(), ids=lambda seed: f"{seed['target']}, {seed['error']}")
def test_what_crashed_before(seed: dict[str, object], small_model: FaceModel, tmp_path: Path) -> None:
    target = TARGETS[str(seed["target"])]
    done = [(str(kind), float(place), int(number)) for kind, place, number in seed["mutations"]]  # type: ignore[attr-defined]
    with bounded():
        run(target, damaged(target.valid(small_model), done), small_model, tmp_path)
