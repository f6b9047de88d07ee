#!/usr/bin/env bash
# 2. Train the inverse dynamics model on the labelled shards (variables: NAME, SHARDS, DEVICES, STRATEGY).
#SBATCH --job-name=vpt-train-idm
#SBATCH --output=%x-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=TERM@300
#SBATCH --time=24:00:00
#SBATCH --mem=32G
#SBATCH --cpus-per-task=8
# shellcheck source-path=SCRIPTDIR source=common.sh
source "${PROJECT:-${SLURM_SUBMIT_DIR:-$PWD}}/scripts/slurm/common.sh"

train idm --data.train "${SHARDS:-data/shards/labelled}" "$@"
