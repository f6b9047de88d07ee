#!/usr/bin/env bash
# 3. Test the IDM on a held-out driver (variables: NAME, JUDGE); the metrics go to runs/test.
#SBATCH --job-name=vpt-evaluate-idm
#SBATCH --output=%x-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=TERM@300
#SBATCH --time=04:00:00
#SBATCH --mem=32G
#SBATCH --cpus-per-task=8
# shellcheck source-path=SCRIPTDIR source=common.sh
source "${PROJECT:-${SLURM_SUBMIT_DIR:-$PWD}}/scripts/slurm/common.sh"

step 1 racing-vpt test --ckpt_path "$RUNS/idm/$NAME" --data.test "${JUDGE:-data/judge}" --data.clip_frames 256 --data.batch_size 8 --runs "$RUNS" --name "$NAME" "$@"
