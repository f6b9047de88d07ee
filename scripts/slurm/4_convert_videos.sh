#!/usr/bin/env bash
# 4. Check the videos: decode each from end to end and name the bad ones (variable: VIDEOS).
#SBATCH --job-name=vpt-convert-videos
#SBATCH --output=%x-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=TERM@300
#SBATCH --time=12:00:00
#SBATCH --mem=32G
#SBATCH --cpus-per-task=8
# shellcheck source-path=SCRIPTDIR source=common.sh
source "${PROJECT:-${SLURM_SUBMIT_DIR:-$PWD}}/scripts/slurm/common.sh"

step 1 racing-vpt verify "${VIDEOS:-data/watched}" "$@"
