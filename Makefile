# The commands of msm. `make` alone lists them.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := build/peers/.ready
# Two test processes suit two cores: the servers that tests start need the rest.
JOBS ?= 2

# torch has gigabytes, so its version changes only deliberately, not with every new lock.
TORCH := 2.13.0
# Versions without their build (+cpu, +cu130), and without the CUDA packages that torch requires.
LOCKED := sed 's/+[a-z0-9.]*$$//' | grep -viE '^(cuda|nvidia|triton)' | LC_ALL=C sort -f

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo test lint docs audit replay bench second global backfill memory accuracy serving fine soak storage checkpoint pages image lock clean

help:  ## list the commands
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

$(READY): requirements.lock requirements-dev.lock pyproject.toml
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -r requirements.lock
	$(BIN)/python -m pip install -r requirements-dev.lock
	$(BIN)/python -m pip install --no-deps -e .
	touch $@

venv: $(READY)  ## set up .venv from the lock files (the others do this themselves)

demo: $(READY)  ## produce one map with the embedded sandbox, without credentials
	$(BIN)/msm demo

test: $(READY)  ## run the tests
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

lint: $(READY)  ## check style, types, layers and spelling
	$(BIN)/pre-commit run --all-files

docs: $(READY)  ## build the documentation site in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The auditor has its own environment, so that it does not audit itself.
audit:  ## compare the locked dependencies with published advisories; needs the internet
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet pip-audit
	build/audit/bin/pip-audit --no-deps --disable-pip -r requirements.lock -r requirements-dev.lock

# Without them the benchmark reports what it does not measure.
$(PEERS): benchmarks/peers.txt | $(READY)
	rm -rf $(@D)
	-$(BIN)/python -m pip install --no-deps --target $(@D) -r benchmarks/peers.txt && touch $@

replay: $(READY)  ## publish two months from real input and compare with SMAP
	$(BIN)/python -m benchmarks.skill.replay

bench: $(READY) $(PEERS)  ## measure reading, regridding, the network, training and one day against peers and lower bounds
	$(BIN)/python -m benchmarks.speed.bench

second: $(READY)  ## produce a week of the replay from the second source and compare (after replay)
	$(BIN)/python -m benchmarks.skill.second_source

backfill: $(READY)  ## backfill half a year, revise a day and replay it (after replay)
	$(BIN)/python -m benchmarks.speed.backfill

global: $(READY)  ## measure one global day, and the cost of a day by its number of cells
	$(BIN)/python -m benchmarks.speed.global_day

memory: $(READY)  ## measure the effect of the precision of the state and of a cold start
	$(BIN)/python -m benchmarks.skill.carried_state

accuracy: $(READY)  ## cross-validate every recipe and baseline by the protocol; an interrupted run continues
	$(BIN)/python -m benchmarks.skill.accuracy

serving: $(READY)  ## predict the stations from the inputs of the product and from their own (after replay)
	$(BIN)/python -m benchmarks.skill.serving

fine: $(READY)  ## train on the 9 km cells inside each satellite cell (after serving)
	$(BIN)/python -m benchmarks.skill.fine_cells

soak: $(READY)  ## operate a site through two months of faults, and compare it with a site without
	$(BIN)/python -m benchmarks.operation.soak

storage: $(READY)  ## measure the bytes of each kind of file (after replay and global)
	$(BIN)/python -m benchmarks.speed.storage

checkpoint: $(READY)  ## train the checkpoint that the package ships
	$(BIN)/msm train multiscale build/checkpoint/multiscale.json --data ../shared/data

pages: $(READY)  ## write the generated pages of docs/ from results, layout files, real files and fault tables
	$(BIN)/python -m docs_tools.pages

image:  ## build the container image
	docker build --tag msm .

lock:  ## resolve the dependencies again and write both lock files
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --editable '.[sandbox]' torch==$(TORCH)
	build/lock/bin/python -m pip freeze --exclude msm > build/lock/runtime
	build/lock/bin/python -m pip install --editable '.[dev]' torch==$(TORCH)
	build/lock/bin/python -m pip freeze --exclude msm > build/lock/all
	{ echo "# What msm runs on, exactly. Made by: make lock"; \
	  < build/lock/runtime $(LOCKED); } > requirements.lock
	{ echo "# What developing msm needs beside requirements.lock. Made by: make lock"; \
	  grep -vxFf build/lock/runtime build/lock/all | $(LOCKED); } > requirements-dev.lock
	rm -rf build/lock

clean:  ## remove what was built, .venv included
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
