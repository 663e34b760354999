#!/bin/sh
# rollback.sh RELEASE PROJECT REGION: go back to an earlier release, whose manifests lie in RELEASE: a folder, or the
# gs:// address below which the pipeline kept them. The databases stay as they are: docs/runbook.md says when that is
# not enough.
set -eu
here=$(dirname "$0")
release=$1 project=$2 region=$3
case $release in
    gs://*)
        folder=$(mktemp -d)
        trap 'rm -rf "$folder"' EXIT
        gcloud storage cp "$release/*.yaml" "$folder/" --project "$project"
        ;;
    *) folder=$release ;;
esac
image=$(sed -n 's/^ *- image: //p; s/^ *image: //p' "$folder/scoring.yaml")
# What answers others comes first: a revision that is still there serves at once, before anything is made anew.
revision=$(gcloud run revisions list --service scoring --project "$project" --region "$region" \
    --filter "spec.containers.image=$image" --sort-by '~metadata.creationTimestamp' --limit 1 \
    --format 'value(metadata.name)')
if [ -n "$revision" ]; then
    gcloud run services update-traffic scoring --to-revisions "$revision=100" \
        --project "$project" --region "$region" --quiet
fi
sh "$here/release.sh" "$folder" "$project" "$region"
