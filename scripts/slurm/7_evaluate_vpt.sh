#!/usr/bin/env bash
# 7. Drive unseen tracks (variables: NAME, SEEDS, GAME); scores and a film go to the run folder.
#SBATCH --job-name=vpt-evaluate-vpt
#SBATCH --output=%x-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=TERM@300
#SBATCH --time=04:00:00
#SBATCH --mem=32G
#SBATCH --cpus-per-task=8
# shellcheck source-path=SCRIPTDIR source=common.sh
source "${PROJECT:-${SLURM_SUBMIT_DIR:-$PWD}}/scripts/slurm/common.sh"

place=(--env CarRacing-v3)
if [[ -n $GAME ]]; then
  place=(--game "$GAME")
fi
step 1 racing-vpt drive --checkpoint "$RUNS/vpt/$NAME" "${place[@]}" --seeds "${SEEDS:-1000-1099}" \
  --workers "${SLURM_CPUS_PER_TASK:-2}" --video "$RUNS/vpt/$NAME/drive.mp4" --json "$RUNS/vpt/$NAME/drive.json" "$@"
