#!/bin/sh
# apply.sh FOLDER PROJECT REGION NAME...: apply these manifests of a release, in this order. Each is waited for: a service
# or worker pool whose new revision does not pass its startup probe fails here, and the revision before goes on.
set -eu
folder=$1 project=$2 region=$3
shift 3
for name in "$@"; do
    manifest=$folder/$name.yaml
    case $(sed -n 's/^kind: //p' "$manifest") in
        Service) kind=services ;;
        WorkerPool) kind=worker-pools ;;
        Job) kind=jobs ;;
        *) echo "apply: $manifest is no manifest of Cloud Run" >&2; exit 1 ;;
    esac
    if ! grep -Eq '@sha256:[0-9a-f]{64}$' "$manifest"; then
        echo "apply: $manifest names no image by digest; make it with \`python -m deploy release\`" >&2
        exit 1
    fi
    echo "apply: $name"
    gcloud run "$kind" replace "$manifest" --project "$project" --region "$region" --quiet
done
