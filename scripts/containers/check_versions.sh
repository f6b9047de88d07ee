#!/usr/bin/env bash
# Whether each package here has the version of constraints.txt: right, missing and different, and what they are.
# In a container: apptainer exec racing-vpt.sif scripts/containers/check_versions.sh [CONSTRAINTS]
set -euo pipefail
exec racing-vpt doctor --only '[versions]' --constraints "${1:-constraints.txt}"
