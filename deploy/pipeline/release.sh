#!/bin/sh
# release.sh FOLDER PROJECT REGION: apply everything of a release, the daemon last, and ask whether it works.
set -eu
here=$(dirname "$0")
folder=$1 project=$2 region=$3
sh "$here/apply.sh" "$folder" "$project" "$region" \
    run-s run-m run-l agent-updater smoke mlflow scoring web web-readonly daemon
gcloud run jobs execute smoke --wait --project "$project" --region "$region" --quiet
