# Everything runs in a virtual environment of its own, .venv; only Python 3.10 or newer and a package index are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0

.PHONY: demo test lint fast-test fuzz clean

demo: $(VENV)/.core
	$(BIN)/python examples/demo_photo.py out/astronaut.jpg
	$(BIN)/likeness reconstruct out/astronaut.jpg -o out
	@echo "The head is in out/: astronaut.glb (rigged), astronaut.obj, astronaut.json, astronaut.png (look here first)."

test: $(VENV)/.dev lint
	$(BIN)/python -m pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# Damages files for FUZZ_SECONDS (an hour) and lets every reader have them; what crashes is kept as a test.
FUZZ_SECONDS ?= 3600
fuzz: $(VENV)/.dev
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/python -m pytest tests/test_fuzz.py -k or_refused

# The core with the demo's photograph: no torch.
$(VENV)/.core: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[demo]"
	touch $@

# Everything. torch is pinned and comes first: an unpinned one may bring gigabytes of GPU libraries.
$(VENV)/.dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[demo,scans,meshes,train,dev]"
	touch $@

clean:
	rm -rf $(VENV) out build dist
