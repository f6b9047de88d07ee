#!/usr/bin/env bash
# 6. Pack the labelled videos and train the policy on them (variables: NAME, VIDEOS, LABELS, WATCHED_SHARDS, DEVICES).
#SBATCH --job-name=vpt-train-vpt
#SBATCH --output=%x-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=TERM@300
#SBATCH --time=24:00:00
#SBATCH --mem=32G
#SBATCH --cpus-per-task=8
# shellcheck source-path=SCRIPTDIR source=common.sh
source "${PROJECT:-${SLURM_SUBMIT_DIR:-$PWD}}/scripts/slurm/common.sh"

shards=${WATCHED_SHARDS:-data/shards/watched}
step 1 racing-vpt pack --recordings "${VIDEOS:-data/watched}" --labels "${LABELS:-data/labels}" --out "$shards" \
  --workers "${SLURM_CPUS_PER_TASK:-2}" ${GAME:+--game "$GAME"}
train vpt --data.train "$shards" --data.val "$shards" "$@"
