#!/bin/sh
# canary.sh FOLDER PROJECT REGION SECONDS: give scoring's new revision its share of the requests, watch it, and take the
# share back if it answered a single one with 5xx. Without a revision that serves (the first release) there is no share.
set -eu
here=$(dirname "$0")
folder=$1 project=$2 region=$3 seconds=$4
serving=$(sed -n 's/^ *- revisionName: //p; s/^ *revisionName: //p' "$folder/scoring.yaml")
since=$(date -u +%Y-%m-%dT%H:%M:%SZ)
sh "$here/apply.sh" "$folder" "$project" "$region" scoring
if [ -z "$serving" ]; then
    echo "canary: nothing served before; the new revision takes all requests"
    exit 0
fi
canary=$(gcloud run services describe scoring --project "$project" --region "$region" \
    --format 'value(status.latestReadyRevisionName)')
echo "canary: $canary beside $serving for $seconds s"
sleep "$seconds"
errors=$(gcloud logging read --project "$project" --limit 5 --format 'value(insertId)' "\
resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"scoring\" \
AND resource.labels.revision_name=\"$canary\" AND httpRequest.status>=500 AND timestamp>=\"$since\"")
if [ -n "$errors" ]; then
    echo "canary: $canary answered with 5xx; all requests go to $serving again" >&2
    gcloud run services update-traffic scoring --to-revisions "$serving=100" \
        --project "$project" --region "$region" --quiet
    exit 1
fi
echo "canary: no request failed"
