#!/usr/bin/env bash
# Sourced by the batch scripts of this folder. Settings come from the environment, options of one run after the script:
#   DEVICES=4 NAME=mine sbatch --gres=gpu:4 --ntasks-per-node=4 scripts/slurm/2_train_idm.sh --data.batch_size 16
# Partition, account, time and GPUs are sbatch's own: on its command line, or as SBATCH_PARTITION, SBATCH_ACCOUNT, ...
set -euo pipefail

PROJECT=${PROJECT:-${SLURM_SUBMIT_DIR:-$PWD}} # the checkout
NAME=${NAME:-default}                         # of the run
RUNS=${RUNS:-runs}
DEVICES=${DEVICES:-1}                         # processes on each machine: sbatch --ntasks-per-node
NODES=${SLURM_JOB_NUM_NODES:-${NODES:-1}}
STRATEGY=${STRATEGY:-ddp}                     # a file of configs/strategy, where there are several processes
CONTAINER=${CONTAINER:-}                      # an Apptainer image; empty: the virtual environment
BIND=${BIND:-$PROJECT}                        # what a container sees of the disk, separated by commas
SRUN=${SRUN-srun}                             # the launcher; empty: this machine, without one
GAME=${GAME:-}                                # of the recordings; empty: CarRacing
RECIPES=${RECIPES:-}                          # a folder of its own recipes, such as configs/swag; empty: CarRacing's
SIZE=${SIZE:-}                                # of those recipes: SIZE=small trains idm_small and vpt_small

cd "$PROJECT"
if [[ -z $CONTAINER ]]; then
  export PATH="$PROJECT/.venv/bin:$PATH"
fi

# One step of the job; the first argument is the number of processes per machine. If one dies, the others are ended, as
# they would wait for it.
step() {
  local tasks=$1
  shift
  local inside=()
  if [[ -n $CONTAINER ]]; then
    inside=(apptainer exec --nv --bind "$BIND" --pwd "$PROJECT" "$CONTAINER")
  fi
  if [[ -n $SRUN ]]; then
    inside=("$SRUN" --ntasks="$((tasks * NODES))" --ntasks-per-node="$tasks" --kill-on-bad-exit=1 ${inside[@]+"${inside[@]}"})
  fi
  ${inside[@]+"${inside[@]}"} "$@"
}

# A training that resumes an earlier job of the same name, and is requeued after a signal.
train() {
  local kind=$1 checkpoints=$RUNS/$1/$NAME/checkpoints
  shift
  local recipe=(--config configs/base.yaml --config "configs/$kind.yaml")
  if [[ -n $RECIPES ]]; then
    recipe=(--config "$RECIPES/$kind${SIZE:+_$SIZE}.yaml")
  fi
  local more=(--trainer.devices "$DEVICES" --trainer.num_nodes "$NODES" --runs "$RUNS" --name "$NAME") first=()
  if ((DEVICES * NODES > 1)); then
    first=(--config "configs/strategy/$STRATEGY.yaml")
  fi
  if compgen -G "$checkpoints/last.ckpt*" >/dev/null; then
    more+=(--ckpt_path last)
  fi
  local status=0
  step "$DEVICES" racing-vpt fit "${recipe[@]}" \
    ${first[@]+"${first[@]}"} "${more[@]}" "$@" || status=$?
  requeue_after_signal "$status"
}

# 143, 130 and 138: stopped by SIGTERM, SIGINT or SIGUSR1 after a checkpoint was written.
requeue_after_signal() {
  case $1 in
    143 | 138)
      if [[ -n ${SLURM_ARRAY_JOB_ID:-} ]]; then
        scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
      elif [[ -n ${SLURM_JOB_ID:-} ]]; then
        scontrol requeue "$SLURM_JOB_ID"
      fi
      ;;
  esac
  exit "$1"
}
