#!/bin/sh
# What every role of the image starts with: the Dagster instance of its environment is laid where Dagster looks for it,
# then this process becomes the role.
set -eu
root=$(dirname "$0")/..
settings=$root/deploy/${MLOPS_ENVIRONMENT:?names no environment}/dagster.yaml
if [ ! -r "$settings" ]; then
    echo "entrypoint: environment $MLOPS_ENVIRONMENT has no $settings; run \`mlops config render\`" >&2
    exit 64
fi
export DAGSTER_HOME="${MLOPS_HOME:?names no folder}/dagster_home"
mkdir -p "$DAGSTER_HOME"
cp "$settings" "$DAGSTER_HOME/dagster.yaml"
exec "$@"
