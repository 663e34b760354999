#!/bin/sh
# migrate.sh FOLDER PROJECT REGION: bring the databases to a release's version, with no daemon that would start runs
# meanwhile. If it fails, the daemon stays stopped: nothing runs on half-changed tables. docs/runbook.md says what then.
set -eu
here=$(dirname "$0")
folder=$1 project=$2 region=$3
sh "$here/apply.sh" "$folder" "$project" "$region" daemon-stopped migrate
gcloud run jobs execute migrate --wait --project "$project" --region "$region" --quiet
