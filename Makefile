# Every target sets up .venv first; only Python 3.11 (or later) and make are needed.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# Variables, as in: make collect LABELLED_SEEDS=10000-10005, make idm NAME=mine
ENV ?= racing_vpt/CarRacingFast-v3
RECORDINGS ?= data/labelled
LABELLED_SEEDS ?=
WATCHED ?= data/watched
WATCHED_SEEDS ?=
JUDGE ?= data/judge
LABELS ?= data/labels
NAME ?= default
IDM ?= runs/idm/$(NAME)
VPT ?= runs/vpt/$(NAME)
SEEDS ?= 1000-1019
WORKERS ?= 2
DRIVING ?= rollouts
ROLLOUTS ?=
GENERATIONS ?= 70

.DEFAULT_GOAL := help
.PHONY: help setup demo nes enduro swag test test-faults lint bench collect pack idm label vpt drive rl loop rollouts vae mdnrnn controller-dream controller study-memory iris-tokenizer iris-world iris iris-experiments dqn tensorboard clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo 'to have racing-vpt on your PATH, once per shell: . $(VENV)/bin/activate'

# Compiled to bytecode on all cores: pip would take one, and where Python may not write it each start would take 15 s more
SLOW_TO_START := aiohttp attr dateutil docstring_parser filelock fsspec gymnasium idna jsonargparse lightning matplotlib \
	mpmath numpy packaging PIL pyparsing scipy sympy tensorboard torch torchmetrics yaml

setup: $(INSTALLED)  ## create .venv and install the exact versions of constraints.txt

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "racing-vpt needs Python 3.11 or later; give one with: make setup PYTHON=/path/to/python3.11"; exit 2; }
	@echo 'installing into $(VENV); this takes some minutes the first time'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	@cd $(VENV)/lib/python3*/site-packages && $(abspath $(BIN))/python -m compileall -q -j 0 -x '/(tests?|testing)/' $(SLOW_TO_START) $(CURDIR)/racing_vpt
	@touch $@
	@echo 'installed; to have racing-vpt on your PATH, once per shell: . $(VENV)/bin/activate'

demo: setup  ## the whole circle on CarRacing, from nothing: a score, a film and a plot in runs/demo
	$(BIN)/racing-vpt demo

nes: setup  ## the circle on nes-road, our race for the NES, with comparisons: runs/nes-road/results.json; resumes
	$(BIN)/racing-vpt circle

enduro: setup  ## the same on Atari's Enduro, not measured yet: runs/enduro/results.json; resumes
	$(BIN)/racing-vpt circle --out runs/enduro --configs configs/enduro --max_frames 2500

SWAG_STEPS ?= 1 2 3 4 5 6 7
swag: setup  ## SWAG's eight steps with its network in small on nes-road (8: fine-tune, FROM=RUN): make swag SWAG_STEPS="2 3"
	for step in $(SWAG_STEPS); do SRUN= GAME=nes-road RECIPES=configs/swag SIZE=small COLLECT=configs/nes RUNS=runs/swag \
		LABELLED=data/nes/labelled WATCHED=data/nes/watched VIDEOS=data/nes/watched JUDGE=data/nes/judge LABELS=data/nes/labels \
		SHARDS=data/nes/shards/labelled WATCHED_SHARDS=data/nes/shards/watched SEEDS=$(SEEDS) NAME=$(NAME) FROM=$(FROM) \
		bash scripts/slurm/$${step}_*.sh || exit $$?; done

test: setup  ## run the tests
	$(BIN)/python -m pytest -n auto --dist worksteal

test-faults: setup  ## kill processes, fill disks, cut and garble files as often as tests/README.md says; prints a table
	RACING_VPT_FAULTS=full OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/faults --timeout=1200

lint: setup  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup  ## measure speeds on this machine (environment, labelling, policy)
	$(BIN)/racing-vpt bench

collect: setup  ## 1. record minutes with controls, hours of video only, and a held-out driver: data/
	$(BIN)/racing-vpt collect --config configs/collect/labelled.yaml --env $(ENV) \
		$(if $(LABELLED_SEEDS),--seeds $(LABELLED_SEEDS)) --out $(RECORDINGS) --workers $(WORKERS)
	$(BIN)/racing-vpt collect --config configs/collect/watched.yaml --env $(ENV) \
		$(if $(WATCHED_SEEDS),--seeds $(WATCHED_SEEDS)) --out $(WATCHED) --workers $(WORKERS)
	$(BIN)/racing-vpt collect --config configs/collect/judge.yaml --env $(ENV) --out $(JUDGE) --workers $(WORKERS)

pack: setup  ## 2. (after collect) shards of the labelled minutes in data/shards/labelled
	$(BIN)/racing-vpt pack --recordings $(RECORDINGS) --out data/shards/labelled

idm: setup  ## 3. (after pack) train the inverse dynamics model: runs/idm/default; test it on the held-out driver
	$(BIN)/racing-vpt fit --config configs/base.yaml --config configs/idm.yaml --name $(NAME) \
		--data.train data/shards/labelled
	$(BIN)/racing-vpt test --ckpt_path $(IDM) --data.test $(JUDGE) --data.clip_frames 256 --data.batch_size 8

label: setup  ## 4. (after collect and idm) label the videos and pack them: data/shards/watched
	$(BIN)/racing-vpt predict --config configs/label.yaml --ckpt_path $(IDM) --data.videos $(WATCHED) --out $(LABELS)
	$(BIN)/racing-vpt pack --recordings $(WATCHED) --labels $(LABELS) --out data/shards/watched

vpt: setup  ## 5. (after label) clone a policy from those labels: runs/vpt/default
	$(BIN)/racing-vpt fit --config configs/base.yaml --config configs/vpt.yaml --name $(NAME) \
		--data.train data/shards/watched --data.val data/shards/watched

drive: setup  ## 6. (after vpt) drive unseen tracks of the stock environment: runs/vpt/default/drive.*
	$(BIN)/racing-vpt drive --checkpoint $(VPT) --env CarRacing-v3 --seeds $(SEEDS) --workers $(WORKERS) \
		--video $(VPT)/drive.mp4 --json $(VPT)/drive.json

CLONE ?= $(if $(wildcard runs/vpt/$(NAME)),runs/vpt/$(NAME),zoo:vpt-carracing)
rl: setup  ## 7. (after vpt; else from zoo:vpt-carracing) the cloned policy learns by driving: runs/vptrl/default; resumes
	$(BIN)/racing-vpt fit --config configs/base.yaml --config configs/rl.yaml --name $(NAME) --model.init_from $(CLONE) \
		$(call GO_ON,vptrl/$(NAME))

# The circle on ordinary video: LOOP_SEEDS=20000-20047 is 12 minutes of it; LOOP_RECIPE= trains configs/vpt.yaml as it is.
LOOP ?= data/loop
LOOP_SEEDS ?=
LOOP_IDM ?= zoo:idm-carracing-video
LOOP_RECIPE ?= --config configs/demo/vpt.yaml
LOOP_LABELS = $(if $(filter true,$(1)),$(LOOP)/small-truth,$(LOOP)/labels/$(1))
define LOOP_LABEL
$(BIN)/racing-vpt predict --config configs/label.yaml --ckpt_path $(LOOP_IDM) --data.window_stride 192 \
	--data.videos '$(LOOP)/$(1)/*-$(2).mkv' --out $(LOOP)/labels/$(2)
$(BIN)/racing-vpt inspect $(LOOP)/labels/$(2) --truth $(LOOP)/$(1)-truth --out $(LOOP)/labels-$(2).png
endef
define LOOP_POLICY
$(BIN)/racing-vpt pack --recordings $(LOOP)/$(1) --labels $(call LOOP_LABELS,$(2)) --out $(LOOP)/shards/$(2)
$(BIN)/racing-vpt fit --config configs/base.yaml --config configs/vpt.yaml $(LOOP_RECIPE) --config configs/vpt_video.yaml \
	--name loop-$(2) --data.train $(LOOP)/shards/$(2) --data.val $(LOOP)/shards/$(2) $(call GO_ON,vpt/loop-$(2))
$(BIN)/racing-vpt drive --checkpoint runs/vpt/loop-$(2) --env CarRacing-v3 --seeds $(SEEDS) --workers $(WORKERS) \
	--json runs/vpt/loop-$(2)/drive.json
endef
loop: setup  ## policies from ordinary video, labelled by zoo:idm-carracing-video: runs/vpt/loop-*; resumes
	$(foreach kind,small window,$(BIN)/racing-vpt collect --config configs/collect/watched_$(kind).yaml \
		$(if $(LOOP_SEEDS),--seeds $(LOOP_SEEDS)) --out $(LOOP)/$(kind) --workers $(WORKERS) &&) true
	$(call LOOP_LABEL,small,small)
	$(call LOOP_LABEL,window,window)
	$(call LOOP_LABEL,window,window-30)
	$(call LOOP_POLICY,small,true)
	$(call LOOP_POLICY,small,small)
	$(call LOOP_POLICY,window,window)
	$(call LOOP_POLICY,window,window-30)

NEEDS = @test -e $(1) || { echo "make $@ needs $(1), which is not there; first: $(2)"; exit 2; }
GO_ON = $(if $(wildcard runs/$(1)/checkpoints/last.ckpt),--ckpt_path last)

rollouts: setup  ## World Models 0. record random driving (DRIVING=rollouts_mixed: of all kinds): data/shards/rollouts
	$(BIN)/racing-vpt collect --config configs/collect/$(DRIVING).yaml --env $(ENV) \
		$(if $(ROLLOUTS),--seeds 30000-$(shell expr 29999 + $(ROLLOUTS))) --out data/rollouts --workers $(WORKERS)
	$(BIN)/racing-vpt pack --recordings data/rollouts --out data/shards/rollouts

vae: setup  ## World Models 1. (after rollouts) the VAE: runs/vae/default; resumes
	$(call NEEDS,data/shards/rollouts,make rollouts)
	$(BIN)/racing-vpt fit --config configs/base.yaml --config configs/vae.yaml --name $(NAME) $(call GO_ON,vae/$(NAME))

mdnrnn: setup  ## World Models 2. (after vae) the MDN-RNN: runs/mdnrnn/default; resumes
	$(call NEEDS,runs/vae/$(NAME),make vae NAME=$(NAME))
	$(BIN)/racing-vpt fit --config configs/base.yaml --config configs/mdn_rnn.yaml --name $(NAME) \
		--model.vae runs/vae/$(NAME) $(call GO_ON,mdnrnn/$(NAME))

controller-dream: setup  ## World Models 3. (after mdnrnn) a controller searched in the dream: runs/controller/default-dream; resumes
	$(call NEEDS,runs/mdnrnn/$(NAME),make mdnrnn NAME=$(NAME))
	$(BIN)/racing-vpt fit --config configs/base.yaml --config configs/controller_dream.yaml --name $(NAME)-dream \
		--model.memory runs/mdnrnn/$(NAME) $(call GO_ON,controller/$(NAME)-dream)

controller: setup  ## World Models 4. (after mdnrnn) a controller searched on tracks, from the dream's if there is one: runs/controller/default; resumes
	$(call NEEDS,runs/mdnrnn/$(NAME),make mdnrnn NAME=$(NAME))
	$(BIN)/racing-vpt fit --config configs/base.yaml --config configs/controller.yaml --name $(NAME) \
		--model.memory runs/mdnrnn/$(NAME) $(call GO_ON,controller/$(NAME)) \
		$(if $(wildcard runs/controller/$(NAME)-dream),--model.init_from runs/controller/$(NAME)-dream)

MEMORIES := trained random zero none
STUDY = runs/controller/$(NAME)-memory
study-memory: setup  ## (after mdnrnn) what the memory is worth: four equal searches and paired differences: runs/controller/default-memory-*
	$(call NEEDS,runs/mdnrnn/$(NAME),make mdnrnn NAME=$(NAME))
	$(foreach use,$(MEMORIES),$(BIN)/racing-vpt fit --config configs/base.yaml --config configs/controller.yaml \
		--name $(NAME)-memory-$(use) --model.memory runs/mdnrnn/$(NAME) --model.memory_use $(use) \
		--trainer.max_steps $(GENERATIONS) $(call GO_ON,controller/$(NAME)-memory-$(use)) &&) \
	$(BIN)/racing-vpt compare --checkpoints [$(STUDY)-trained,$(STUDY)-random,$(STUDY)-zero,$(STUDY)-none] \
		--env $(ENV) --seeds 1020-1099 --json $(STUDY).json

dqn: setup  ## learn by driving, from nothing: runs/dqn/default with its learning curve, returns.png; resumes
	$(BIN)/racing-vpt fit --config configs/base.yaml --config configs/dqn.yaml --name $(NAME) $(call GO_ON,dqn/$(NAME))

SIZE ?= tiny
CHOICE ?= $(if $(filter tiny,$(SIZE)),cpu)
iris-tokenizer: setup  ## IRIS 1. (after rollouts) the tokenizer (SIZE=tiny, or paper; CHOICE=cpu): runs/tokenizer/default; resumes
	$(call NEEDS,data/shards/rollouts,make rollouts)
	$(BIN)/racing-vpt fit --config configs/base.yaml --config configs/iris/tokenizer.yaml \
		$(if $(filter-out paper,$(SIZE)),--config configs/iris/tokenizer/$(SIZE).yaml) \
		$(if $(CHOICE),--config configs/iris/tokenizer/$(CHOICE).yaml) --name $(NAME) $(call GO_ON,tokenizer/$(NAME))

iris-world: setup  ## IRIS 2. (after iris-tokenizer) the world model (CHOICE=cpu): runs/tokenworld/default; resumes
	$(call NEEDS,runs/tokenizer/$(NAME),make iris-tokenizer NAME=$(NAME))
	$(BIN)/racing-vpt fit --config configs/base.yaml --config configs/iris/token_world.yaml \
		$(if $(filter-out paper,$(SIZE)),--config configs/iris/token_world/$(SIZE).yaml) \
		$(if $(CHOICE),--config configs/iris/token_world/$(CHOICE).yaml) --name $(NAME) \
		--model.init_tokenizer runs/tokenizer/$(NAME) $(call GO_ON,tokenworld/$(NAME))

IRIS_LOOP = --config configs/iris.yaml $(if $(filter-out paper,$(SIZE)),--config configs/iris/$(SIZE).yaml) \
	$(if $(filter-out cpu,$(CHOICE)),--config configs/iris/token_world/$(CHOICE).yaml)
IRIS_PARTS = $(if $(wildcard runs/tokenworld/$(NAME)),--model.init_world runs/tokenworld/$(NAME))
iris: setup  ## IRIS 3. (after iris-world) the loop: an actor drives, and learns in imagination: runs/iris/default; resumes
	$(if $(filter-out paper,$(SIZE)),$(call NEEDS,data/shards/rollouts,make rollouts))
	$(if $(filter-out paper,$(SIZE)),$(call NEEDS,runs/tokenworld/$(NAME),make iris-world NAME=$(NAME)))
	$(BIN)/racing-vpt fit --config configs/base.yaml $(IRIS_LOOP) $(IRIS_PARTS) --name $(NAME) $(call GO_ON,iris/$(NAME))

EXPERIMENTS = runs/iris-experiments
iris-experiments: setup  ## (after rollouts) tokenizers and world models that differ in one thing each: a table in runs/iris-experiments; resumes
	$(call NEEDS,data/shards/rollouts,make rollouts)
	$(BIN)/racing-vpt iris-experiments --out $(EXPERIMENTS) --size $(SIZE) $(if $(PRETRAINED),--tokenizer $(PRETRAINED))

PORT ?= 6006
tensorboard: setup  ## show the curves of all runs in a browser (PORT=6006)
	@$(BIN)/python -c 'import socket, sys; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); \
		s.bind(("localhost", $(PORT)))' 2>/dev/null || { echo 'port $(PORT) is in use, perhaps by another tensorboard: open http://localhost:$(PORT), or type: make tensorboard PORT=6007'; exit 2; }
	$(BIN)/tensorboard --logdir runs --port $(PORT)

clean:  ## remove the environment, builds and caches; runs and data stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
