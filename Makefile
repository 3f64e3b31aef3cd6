# Everything runs in a virtual environment of its own, .venv; only Python 3.10 or newer and a package index are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# From the public index a plain Linux wheel of torch brings gigabytes of libraries for GPUs. For the CPU alone:
# make TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu" test
TORCH ?= torch==2.13.0

.PHONY: demo docs test test-cluster test-lowest validate-gltf web lint fuzz torture build-trial clean

demo: $(VENV)/.core
	$(BIN)/python examples/demo_photo.py out/astronaut.jpg
	$(BIN)/likeness reconstruct out/astronaut.jpg -o out
	@echo "The head is in out/: astronaut.glb (rigged), astronaut.obj, astronaut.json, astronaut.png (look here first)."

# Two processes share the tests: that is what the six minutes are for.
WORKERS ?= 2
test: $(VENV)/.dev lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# The documentation as a site that needs no network: site/index.html. Any warning ends it.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo "Open site/index.html."

# What works on archives: Arrow and Ray (half a gigabyte on disk) come only for it.
test-cluster: $(VENV)/.cluster
	$(BIN)/python -m pytest tests/test_cluster.py tests/test_cluster_ray.py

# GLB files in other programs and pages in a browser: the Khronos validator, three.js and axe (need Node), trimesh,
# Chromium and Blender if there.
validate-gltf: $(VENV)/.dev .node/.done
	$(BIN)/python -m pytest tests/test_opens_elsewhere.py tests/test_view_browser.py

.node/.done: Makefile
	npm install --silent --no-save --no-audit --no-fund --prefix .node gltf-validator@2.0.0-dev.3.10 three@0.187.0 axe-core@4.11.0
	touch $@

# The viewer's and the app's pages, into src/likeness/view/built (needs Node 20; users do not).
web: web/node_modules/.done
	cd web && npm run --silent build

web/node_modules/.done: web/package-lock.json
	cd web && npm ci --silent --no-audit --no-fund
	touch $@

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# Damages files for FUZZ_SECONDS (an hour) and lets every reader have them; what crashes is kept as a test.
FUZZ_SECONDS ?= 3600
fuzz: $(VENV)/.dev
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/python -m pytest tests/test_fuzz.py -k or_refused

# The oldest versions that pyproject.toml allows.
test-lowest:
	PYTHON=$(PYTHON) TORCH="$(TORCH)" .ci/lowest

# Kills every command that writes TORTURE_TIMES times each, at random moments: nothing half-written is taken for whole,
# nothing is left over after the next run.
TORTURE_TIMES ?= 100
torture: $(VENV)/.dev
	TORTURE_TIMES=$(TORTURE_TIMES) $(BIN)/python -m pytest tests/test_torture.py

# From the data folder DATA (benchmarks/README.md) to files that reconstruct a photo, with photographs and without, in
# numbers as small as goes. The package stays as it is.
build-trial: $(VENV)/.dev
	BUILD_TRIAL=$(DATA) $(BIN)/python -m pytest tests/test_build_trial.py -s

# The core with the demo's photograph: no torch.
$(VENV)/.core: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[demo]"
	touch $@

# Everything. torch comes first, so that it is the one that TORCH names.
$(VENV)/.dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[demo,scans,meshes,train,serve,dev]"
	touch $@

# Reads the package's text and imports none of it: no torch.
$(VENV)/.docs: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[docs]"
	touch $@

$(VENV)/.cluster: $(VENV)/.dev
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[cluster]"
	touch $@

clean:
	rm -rf $(VENV) .node out build dist site
