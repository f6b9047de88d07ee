#!/usr/bin/env bash
# Compares installed packages with constraints.txt: counts of right, missing and different ones, and their names.
# In a container: apptainer exec racing-vpt.sif scripts/containers/check_versions.sh [CONSTRAINTS]
set -euo pipefail
exec racing-vpt doctor --only '[versions]' --constraints "${1:-constraints.txt}"
