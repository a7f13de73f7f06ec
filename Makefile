# Each target works from a fresh clone: it makes .venv first, once per lock-file hash. `make demo` and `make test` are the two to know.
SHELL  := /bin/bash
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.stamp-$(shell sha256sum requirements.lock pyproject.toml | sha256sum | cut -c1-16)

# PYTHONSAFEPATH keeps the working directory off sys.path: our package names are generic, only our venv may supply them.
export PYTHONSAFEPATH := 1
# The tests start Python some eighty times; without compiled modules on disk each start takes 2.5 s instead of 1.
export PYTHONDONTWRITEBYTECODE :=

DAYS     ?=
SPEED    ?=
SCENARIO ?=
REQUIRE  ?=
# foreign Modbus programs of tests/peers and tests/bench, outside the checkout
export PEERS ?= $(HOME)/.cache/heat-pump-edge-agent/peers
WRITE    ?=
# processes that share the tests: one more than cores, for many a test waits; 0: none, all in one process
WORKERS  ?= $(shell cores=$$(nproc); echo $$((cores < 8 ? cores + 1 : 8)))
N        ?=
SEED     ?=

.PHONY: venv demo test peers gate bench faults fuzz format picture supported lock clean
.DEFAULT_GOAL := test

venv: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "需要 Python 3.11 或更新 / Python 3.11 or newer is needed; this is $$($(PYTHON) --version)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  echo "缺少 venv,请先运行 / venv is missing, run first:  sudo apt-get install python3-venv"; exit 1; }
	@rm -f $(VENV)/.stamp-*
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(PYTHON) tools/with_pip_settings.py $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(PYTHON) tools/with_pip_settings.py $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

demo: venv ## the main job, live; ends with the score
	@$(BIN)/hil-sim demo $(if $(DAYS),--days $(DAYS)) $(if $(SPEED),--speed $(SPEED)) $(if $(SCENARIO),--scenario $(SCENARIO))

test: venv ## every test of the default suite; REQUIRE="mosquitto mbpoll" turns a skip for want of one into a failure; WORKERS=
	@REQUIRE="$(REQUIRE)" $(BIN)/python -m pytest -n $(WORKERS) --max-worker-restart 0

bench: venv ## figures, not pass or fail: every tests/bench/*.py; WRITE=1 renews its table in docs/figures.md
	@WRITE="$(WRITE)" $(BIN)/python tests/bench

peers: ## foreign Modbus programs; needs gcc, pkg-config, libmodbus-dev, node, npm; then `make test` runs tests/peers as well
	@mkdir -p $(PEERS)
	@test -x $(PEERS)/venv/bin/python || $(PYTHON) -m venv $(PEERS)/venv
	@$(PEERS)/venv/bin/python -m pip install --quiet --disable-pip-version-check -r tests/peers/requirements.txt
	@npm install --silent --no-audit --no-fund --omit=optional --prefix $(PEERS) modbus-serial@8.0.25
	@for program in libmodbus_server libmodbus_client; do \
	  $(CC) -O2 -Wall -Wextra -o $(PEERS)/$$program tests/peers/servers/$$program.c $$(pkg-config --cflags --libs libmodbus) || exit 1; done

.PHONY: plan-peers
plan-peers: ## oemof.solph and PyPSA for tests/bench/plan_peers.py, each in a venv of its own below $$PEERS (1.5 GB)
	@mkdir -p $(PEERS)
	@for peer in oemof pypsa; do \
	  test -x $(PEERS)/$$peer/bin/python || $(PYTHON) -m venv $(PEERS)/$$peer || exit 1; \
	  $(PEERS)/$$peer/bin/python -m pip install --quiet --disable-pip-version-check -r tests/bench/peers/$$peer.txt || exit 1; done

gate: venv ## format, lint, types, import directions
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

faults: venv ## the 22 failures of the field bus, each against the agent over real terminals and sockets; N= of them, SEED=
	@$(BIN)/python tests/campaigns/faults.py $(if $(N),--count $(N)) $(if $(SEED),--seed $(SEED)) $(if $(SCENARIO),--only $(SCENARIO))

fuzz: venv ## N (a million) hostile frames and profiles: a checked answer, a cause, or a counted fault; SEED=
	@$(BIN)/python tests/campaigns/fuzz.py $(if $(N),--frames $(N)) $(if $(SEED),--seed $(SEED))

.PHONY: power-cut
power-cut: venv ## the power goes under the store (N= trials of ten cuts) and under the agent: is all there that was promised? root, /dev/fuse; SEED=
	@$(BIN)/python tests/campaigns/power_cut.py $(if $(N),--trials $(N)) $(if $(SEED),--seed $(SEED))

.PHONY: campaign kills
campaign: venv ## a planted violation, then every plant fault against the agent over real wires; N= seeds of each (1), SEED= the first, SPEED=
	@$(BIN)/python tests/campaigns/control.py --planted $(if $(SEED),--seed $(SEED))
	@$(BIN)/python tests/campaigns/control.py $(if $(N),--count $(N)) $(if $(SEED),--seed $(SEED)) $(if $(SCENARIO),--only $(SCENARIO)) $(if $(SPEED),--speed $(SPEED))

kills: venv ## the agent killed at N (50) moments of a winter day, and in each phase of its sequences; SEED=
	@$(BIN)/python tests/campaigns/kills.py $(if $(N),--count $(N)) $(if $(SEED),--seed $(SEED))

.PHONY: crash
crash: venv ## four planted bugs, then N (1000) kills, N/10 power cuts, N/50 full disks and clock jumps, N/20 restarts of broker and platform; SEED=, PARALLEL=, ALLOW_SKIP=1
	@$(BIN)/python tests/campaigns/crash.py --planted $(if $(SEED),--seed $(SEED))
	@$(BIN)/python tests/campaigns/crash.py $(if $(N),--count $(N)) $(if $(SEED),--seed $(SEED)) $(if $(PARALLEL),--parallel $(PARALLEL))

.PHONY: sequences
sequences: venv ## one start and one stop of each kind of unit at 1x over real wires, every step against the configuration; SEED=
	@$(BIN)/python tests/campaigns/sequences.py $(if $(SEED),--seed $(SEED))

.PHONY: fault-seeds
fault-seeds: venv ## every plant fault in lockstep with N (3) seeds, the same on every machine; SEED= the first, SCENARIO=
	@$(BIN)/python tests/campaigns/fault_seeds.py $(if $(N),--count $(N)) $(if $(SEED),--seed $(SEED)) $(if $(SCENARIO),--only $(SCENARIO))

.PHONY: load-days
load-days: venv ## a constant and a stepping load for a day under power limits: 15-minute peaks, error of the supply; SEED=
	@$(BIN)/python tests/campaigns/load_days.py $(if $(SEED),--seed $(SEED))

.PHONY: season
season: venv ## DAYS= (14) days from FROM= (2026-01-05) in closed loop by each strategy, new plans every REPLAN= (60) min; LOAD= (1.0) of the building; SEED=, WEATHER=
	@$(BIN)/python tests/campaigns/season.py $(if $(PLANT),--plant $(PLANT)) $(if $(FROM),--from $(FROM)) $(if $(DAYS),--days $(DAYS)) \
	  $(if $(REPLAN),--replan-min $(REPLAN)) $(if $(SEED),--seed $(SEED)) $(if $(WEATHER),--weather $(WEATHER)) $(if $(LOAD),--load-ratio $(LOAD)) $(if $(UNDAMPED),--undamped)

.PHONY: mutants
mutants: venv ## every shipped device profile, wrong in one place at a time: the suite must notice each
	@$(BIN)/python tests/campaigns/mutants.py

format: venv
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

picture: ## draws the lists of docs/architecture.md from the code
	@$(PYTHON) tools/draw_house.py

supported: venv ## draws SUPPORTED.md from the device profiles
	@$(BIN)/python tools/draw_supported.py

lock: venv ## renew the lock file: hashes for Python 3.11-3.13 on x86-64 and aarch64, no download addresses
	@$(PYTHON) tools/with_pip_settings.py $(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet -o requirements.lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache dist
