#!/usr/bin/env bash
# 8. Fine-tune the weights of another run on other shards (variables: FROM, NAME, WATCHED_SHARDS, DEVICES).
#SBATCH --job-name=vpt-fine-tune
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
train vpt --data.train "$shards" --data.val "$shards" --model.init_from "${FROM:?a run folder, zoo:NAME or an F.model}" "$@"
