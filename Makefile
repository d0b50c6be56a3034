.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint gpu-check clean FORCE

# vspipe looks for the rest of VapourSynth on PATH.
IN_VENV := PATH="$(CURDIR)/.venv/bin:$$PATH"
PIP := .venv/bin/python -m pip --disable-pip-version-check --quiet
# What an editable install does not notice by itself.
BUILD := setup.py pyproject.toml constraints.txt $(shell find native -type f)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: .venv/demo ## restore a clip and compare (INPUT=any.mp4 FRAMES=all TRUTH=1)
	@$(IN_VENV) python examples/demo.py $${INPUT:+--input "$$INPUT"} $${FRAMES:+--frames "$$FRAMES"} \
		$(if $(filter-out 0,$(TRUTH)),--truth)

test: lint ## everything that needs no more than pip
	@echo "vrt: running the tests"
	@$(IN_VENV) pytest -q --numprocesses auto --maxprocesses 4 --dist loadfile

test-all: test ## test, and what needs system packages
	@echo "vrt: running the tests that need system packages"
	@$(IN_VENV) pytest -q -m system || test $$? -eq 5 # 5: there are none

lint: .venv/dev ## format, style and types
	@echo "vrt: checking format, style and types"
	@$(IN_VENV) ruff format --check .
	@$(IN_VENV) ruff check .
	@$(IN_VENV) mypy
	@$(IN_VENV) clang-format --dry-run -Werror $(wildcard native/*/*.cpp native/*/*.h native/kernels/*.cu tests/kernels/*.h)

gpu-check: .venv/dev ## what needs a CUDA GPU: tests, compute-sanitizer, benchmarks; results in build/gpu
	@$(IN_VENV) tools/gpu_check.sh build/gpu

clean: ## remove what the commands above made, .venv and demo/ too
	rm -rf .venv build dist demo *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A Python that was removed or upgraded leaves a .venv that does not start: it is made anew.
.venv/created: $(if $(shell .venv/bin/python -c "print(1)" 2>&1 | grep -x 1),,FORCE)
	@python=$$(tools/find-python) && echo "vrt: creating .venv with $$python" && "$$python" -m venv --clear .venv
	@touch $@

.venv/demo: EXTRA := demo
.venv/dev: EXTRA := dev
.venv/demo .venv/dev: .venv/created $(BUILD)
	@command -v $(CXX) >/dev/null || { echo 'vrt: no C++ compiler found; `apt install g++`' >&2; exit 1; }
	@echo "vrt: installing vs-vrt[$(EXTRA)] (the first time this downloads torch: some minutes)"
	@$(PIP) install --constraint constraints.txt --editable '.[$(EXTRA)]'
	@$(IN_VENV) vapoursynth config >/dev/null
	@touch .venv/demo $@ # dev has all that demo has

FORCE:
