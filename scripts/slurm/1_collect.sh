#!/usr/bin/env bash
# 1. Record minutes with controls, hours of video only, and a held-out driver (variables: LABELLED, WATCHED, JUDGE,
# COLLECT for a folder of recipes), or import raw numpy arrays with their buttons (RAW, and RAW_JUDGE of another driver)
# and without (RAW_WATCHED).
#SBATCH --job-name=vpt-collect
#SBATCH --output=%x-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=TERM@300
#SBATCH --time=24:00:00
#SBATCH --mem=32G
#SBATCH --cpus-per-task=8
# shellcheck source-path=SCRIPTDIR source=common.sh
source "${PROJECT:-${SLURM_SUBMIT_DIR:-$PWD}}/scripts/slurm/common.sh"

WORKERS=${SLURM_CPUS_PER_TASK:-2}
COLLECT=${COLLECT:-configs/collect}
game=(${GAME:+--game "$GAME"})
if [[ -n ${RAW:-} ]]; then
  step 1 racing-vpt import "$RAW" --format arrays --out "${LABELLED:-data/labelled}" ${game[@]+"${game[@]}"} "$@"
  if [[ -n ${RAW_JUDGE:-} ]]; then
    step 1 racing-vpt import "$RAW_JUDGE" --format arrays --out "${JUDGE:-data/judge}" ${game[@]+"${game[@]}"} "$@"
  fi
  if [[ -n ${RAW_WATCHED:-} ]]; then
    step 1 racing-vpt import "$RAW_WATCHED" --format arrays --video_only --out "${WATCHED:-data/watched}" "$@"
  fi
else
  step 1 racing-vpt collect --config "$COLLECT/labelled.yaml" --out "${LABELLED:-data/labelled}" --workers "$WORKERS" "$@"
  step 1 racing-vpt collect --config "$COLLECT/watched.yaml" --out "${WATCHED:-data/watched}" --workers "$WORKERS" "$@"
  step 1 racing-vpt collect --config "$COLLECT/judge.yaml" --out "${JUDGE:-data/judge}" --workers "$WORKERS" "$@"
fi
step 1 racing-vpt pack --recordings "${LABELLED:-data/labelled}" --out "${SHARDS:-data/shards/labelled}" --workers "$WORKERS" \
  ${game[@]+"${game[@]}"}
