# make demo     from push to a verified service and back again, on this machine (KEEP=1: stays up)
# make test     the whole test suite, the demo included
# make lint     ruff and mypy (the import rules are a test)
# make bench    figures beside a named reference, in build/bench.json (PEERS=1: beside other programs too)
# make conformance [DIR=…]   the test data of the projects whose formats Windlass reads
.PHONY: demo test lint bench conformance setup setup-test clean lock

export WINDLASS_SETUP_BEGAN := $(shell date +%s)
PYTHON := .venv/bin/python
TEST_PROCESSES := 2

demo: setup
	@.venv/bin/windlass demo $(if $(KEEP),--keep) $(DEMO_ARGS)

setup:
	@scripts/setup.sh run

setup-test:
	@scripts/setup.sh test

test: setup-test lint
	$(PYTHON) -m pytest --numprocesses=$(TEST_PROCESSES) --dist=loadfile $(TEST_ARGS)

lint: setup-test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

bench:
	@scripts/setup.sh bench
	$(PYTHON) -m bench $(BENCH_ARGS)

conformance: setup-test
	$(PYTHON) tests/conformance/run.py $(DIR)

# The locks: hashes, no addresses.
lock:
	.venv/bin/uv pip compile -q --universal --generate-hashes --no-annotate --no-header --no-emit-index-url \
		--no-emit-find-links --group build pyproject.toml -o requirements.txt
	.venv/bin/uv pip compile -q --universal --generate-hashes --no-annotate --no-header --no-emit-index-url \
		--no-emit-find-links --group build --group dev pyproject.toml -o requirements-dev.txt

clean:
	rm -rf build .mypy_cache .ruff_cache .pytest_cache
