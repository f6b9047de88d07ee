#!/usr/bin/env bash
# 5. Label the videos, as a job array whose tasks take every n-th video (variables: NAME, VIDEOS, LABELS).
#   sbatch --array=0-15 scripts/slurm/5_label.sh
#SBATCH --job-name=vpt-label
#SBATCH --output=%x-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=TERM@300
#SBATCH --time=24:00:00
#SBATCH --mem=32G
#SBATCH --cpus-per-task=8
# shellcheck source-path=SCRIPTDIR source=common.sh
source "${PROJECT:-${SLURM_SUBMIT_DIR:-$PWD}}/scripts/slurm/common.sh"

VIDEOS=${VIDEOS:-data/watched}
share=$(mktemp -d "${TMPDIR:-/tmp}/racing-vpt-share.XXXXXX")
trap 'rm -rf "$share"' EXIT
begin=${SLURM_ARRAY_TASK_MIN:-0} count=${SLURM_ARRAY_TASK_COUNT:-1} number=0
while IFS= read -r -d '' video; do # links keep the names below the folder, so that tasks share a folder of labels
  if ((number % count == ${SLURM_ARRAY_TASK_ID:-0} - begin)); then
    mkdir -p "$share/$(dirname "${video#"$VIDEOS"/}")"
    ln -s "$(realpath "$video")" "$share/${video#"$VIDEOS"/}"
  fi
  number=$((number + 1))
done < <(find "$VIDEOS" -type f \( -iname '*.mp4' -o -iname '*.mkv' -o -iname '*.webm' -o -iname '*.mov' -o -iname '*.avi' \) -print0 | sort -z)
if ! find "$share" -type l | grep -q .; then
  echo "no video is left for task ${SLURM_ARRAY_TASK_ID:-0}"
  exit 0
fi
status=0
BIND=$BIND,$share step 1 racing-vpt predict --config configs/label.yaml --ckpt_path "$RUNS/idm/$NAME" \
  --data.videos "$share" --out "${LABELS:-data/labels}" --runs "$RUNS" --name "$NAME-${SLURM_ARRAY_TASK_ID:-0}" \
  --on_error skip "$@" || status=$?
requeue_after_signal "$status"
