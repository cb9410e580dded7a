# `make` alone lists the commands. Every command may be interrupted at any moment and run again.

PYTHON ?= $(shell command -v python3.11 || echo python3)
PIP_FLAGS ?=
QUESTION ?= My son is being teased at school. How do I frighten the boy who does it?

MODEL ?= default
BENCH ?=
PORT ?= 2024
SCENES ?= 4
JOBS ?= 2
SELFALIGN := build/selfalign-$(notdir $(MODEL))
SELFALIGN_MIX ?= aligned=40,helpful=40,simulation=20
SELFALIGN_SCENE ?= $(if $(filter tiny,$(MODEL)),--roles 1 --steps 2 --max-interactions 2)

DATA ?=
PROOF ?= build/proof-$(notdir $(MODEL))
PROOF_STUDENTS ?= $(MODEL) tiny
PROOF_PAGE ?= $(PROOF)/results.md

VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin

export HF_HUB_DISABLE_TELEMETRY := 1
export LANGSMITH_TRACING := false
export LANGCHAIN_TRACING_V2 := false
export LANGGRAPH_CLI_NO_ANALYTICS := 1
export LANGGRAPH_STRICT_MSGPACK := true
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help demo test check bench bench-full pictures selfalign proof studio setup clean distclean constraints

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo
	@echo '  PIP_FLAGS="..."   extra flags for pip; for a small torch without CUDA:'
	@echo '                    make demo PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"'
	@echo '  PYTHON=...        the Python to build .venv with, 3.11 or newer'
	@echo '  QUESTION="..."    the question that make demo asks'
	@echo '  MODEL=tiny        the model that make selfalign and make proof tune, instead of the default one'
	@echo '  DATA=folder       the question sets for make proof; docs/evaluation.md has its other variables'
	@echo '  BENCH="..."       what make bench measures, such as --only scenes --model default'
	@echo '  PORT=2024         the port of make studio'
	@echo '  SCENES=4          how many scenes make studio plays at once'
	@echo '  JOBS=2            how many processes run the tests; 0 for one alone, to see what it prints'

demo: setup ## set up, fetch the default model (1.1 GB, once) and play one scene
	@$(BIN)/monopolylogue run "$$QUESTION"
demo: export QUESTION := $(QUESTION)

test: setup ## set up, then lint, types, import contract and tests (the tiny model is fetched once, 0.1 GB)
test: TESTS := not slow

check: setup ## the same without the tests that need a model or a browser
check: TESTS := not slow and not model and not browser

# mypy has one core beside the tests, and says after them what it found.
test check:
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	@mkdir -p build; \
	$(BIN)/mypy > build/mypy.txt 2>&1 & types=$$!; \
	trap 'kill $$types 2> /dev/null' INT TERM; \
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadgroup --durations 10 -m "$(TESTS)"; tests=$$?; \
	wait $$types; types=$$?; \
	cat build/mypy.txt; \
	exit $$((tests ? tests : types))
test check: export HF_HUB_OFFLINE := 1

# A run that was cut off goes on where it stopped.
bench: setup ## measure speed and memory with the tiny model, side by side, into bench.json (an hour)
	@$(BIN)/python -m benchmarks compare $(BENCH)

bench-full: setup ## the same, and again with the default model; hours
	@$(BIN)/python -m benchmarks compare --full $(BENCH)
bench bench-full: export HF_HUB_OFFLINE := 1

# Without a number of jobs the server plays one scene after another.
studio: setup ## serve the scene to LangGraph Studio, on this machine alone (PORT=2024)
	@$(BIN)/langgraph dev --host 127.0.0.1 --port $(PORT) --n-jobs-per-worker $(SCENES) --no-browser --no-reload

pictures: setup ## draw the pictures of the documents anew, from a recorded scene (needs Chromium)
	@$(BIN)/python -m docs.make_pictures

# Each stage goes on with what an earlier run left of it; dataset makes the same rows of the same scenes. The
# tiny model gets smaller scenes, since more of those come to an end.
selfalign: setup ## rehearse 40 questions, tune the model on what came of them, ask it five others (an hour)
	@set -eu; \
	run="$(BIN)/monopolylogue"; \
	mkdir -p "$(SELFALIGN)"; \
	$$run export finetune/questions.jsonl --limit 40 --model "$(MODEL)" $(SELFALIGN_SCENE) --out "$(SELFALIGN)/scenes"; \
	$$run dataset "$(SELFALIGN)/scenes" --mix "$(SELFALIGN_MIX)" --out "$(SELFALIGN)/data"; \
	$$run train "$(SELFALIGN)/data" --model "$(MODEL)" --preset cpu-small --resume --out "$(SELFALIGN)/adapter"; \
	$$run ask finetune/questions.jsonl --last 5 --engine transformers --model "$(MODEL)" --model "$(SELFALIGN)/adapter"

# Its other variables (PROOF_QUESTIONS and so on) reach the command by the environment.
proof: setup ## rehearse, tune, tune rivals, compare, write the results: make proof DATA=folder (hours)
	@$(BIN)/python -m cli.proof.main run "$(DATA)" --model "$(MODEL)" $(foreach student,$(PROOF_STUDENTS),--student "$(student)") --out "$(PROOF)" --page "$(PROOF_PAGE)"

# The stamp is written last and says what was installed. An install that was cut off leaves .installing
# behind; pip can take a half-copied package for a whole one, so the environment is then made anew. The
# lock belongs to file descriptor 9, which pip inherits: it is held until the last of them has ended.
setup: ## build .venv from constraints.txt, or bring it up to date
	@set -eu; \
	"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed, and $(PYTHON) is not: install it, or name one with make PYTHON=/path/to/python3.11." >&2; exit 1; }; \
	lock() { "$(PYTHON)" -c "import fcntl; fcntl.flock(9, fcntl.LOCK_EX | $$1)" 2>/dev/null; }; \
	exec 9>.venv.lock; \
	lock fcntl.LOCK_NB || { echo "Waiting for another make that is setting up .venv."; lock 0; }; \
	wanted=$$(cat pyproject.toml constraints.txt | cksum); \
	usable() { test ! -e "$(VENV)/.installing" && grep -qsF "$(BIN)/" "$(BIN)/pip" && "$(BIN)/python" -c 'import pip' 2>/dev/null; }; \
	if usable; then \
		if test "$$(cat "$(VENV)/.installed" 2>/dev/null)" = "$$wanted"; then exit 0; fi; \
	else \
		mkdir -p build; \
		rm -rf build/old-venv; \
		if test -e "$(VENV)"; then mv "$(VENV)" build/old-venv; fi; \
		rm -rf build/old-venv; \
		mkdir "$(VENV)"; \
		touch "$(VENV)/.installing"; \
		"$(PYTHON)" -m venv "$(VENV)"; \
	fi; \
	echo "Installing into .venv: about 0.8 GB to download with a CPU build of torch, 3 to 4 GB with CUDA; one to ten minutes, without a word from pip (PIP_FLAGS=-vv shows it)."; \
	touch "$(VENV)/.installing"; \
	"$(BIN)/python" -m pip install -qq --no-input --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e '.[llama,openai,ray,studio,dev]' || { \
		echo "The installation did not finish; the lines above say why. Run the same command again when that is mended." >&2; exit 1; }; \
	echo "$$wanted" > "$(VENV)/.installed"; \
	rm "$(VENV)/.installing"; \
	echo "Done: .venv is ready."

clean: ## remove what the tools cached and built; .venv and the fetched models stay
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -path ./.venv -prune -o -type d -name __pycache__ -exec rm -rf {} +

distclean: clean ## remove .venv too
	rm -rf .venv .venv.lock *.egg-info

# torch comes without a local version suffix, so that a CPU and a CUDA build both fit; a CUDA build of torch
# asks for exactly one triton, which a CPU build does not know, so the two change together.
PINNED := torch==2.13.0 triton==3.7.1

constraints: ## pin the newest versions that pyproject.toml allows in constraints.txt
	@set -eu; \
	rm -rf build/constraints; \
	mkdir -p build; \
	"$(PYTHON)" -m venv build/constraints; \
	printf '%s\n' $(PINNED) > build/constraints/pinned.txt; \
	echo "Installing everything once, to see what fits together (build/constraints; some minutes)."; \
	build/constraints/bin/python -m pip install -qq --no-input --disable-pip-version-check $(PIP_FLAGS) \
		-c build/constraints/pinned.txt -e '.[llama,openai,studio,ray,dev]'; \
	build/constraints/bin/python -m pip check; \
	{ echo "# Exact versions that the tests run on, made by \`make constraints\`. CUDA packages follow from torch."; \
	build/constraints/bin/python -m pip freeze --all --exclude-editable | grep -Ev '^(pip|wheel)==' | sed 's/+.*//'; \
	} > build/constraints.txt; \
	mv build/constraints.txt constraints.txt; \
	rm -rf build/constraints
