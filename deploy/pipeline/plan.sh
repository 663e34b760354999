#!/bin/sh
# plan.sh DESCRIBED: say what the configuration of this commit changes beside the one that is deployed. DESCRIBED is what
# `gcloud run services describe web --format json` said; empty before the first release. Read it before you approve.
set -eu
commit=$(.venv/bin/python -m deploy commit "$1")
if [ -z "$commit" ]; then
    echo "plan: nothing is deployed yet"
    exit 0
fi
status=0
.venv/bin/mlops config plan --against "$commit" || status=$?
case $status in
    0) echo "plan: the configuration stays as it is" ;;
    2) echo "plan: the configuration changes as said above" ;;
    *) echo "plan: it cannot be said what changes" >&2; exit "$status" ;;
esac
