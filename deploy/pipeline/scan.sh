#!/bin/sh
# scan.sh IMAGE LOCATION: fail if a vulnerability of severity HIGH or CRITICAL is known in a pushed image. LOCATION is
# that of the scanner: us, europe or asia.
set -eu
image=$1 location=$2
scan=$(gcloud artifacts docker images scan "$image" --remote --location "$location" --format 'value(response.scan)')
if [ -z "$scan" ]; then
    echo "scan: there is no result; the image is not taken for clean" >&2
    exit 1
fi
found=$(gcloud artifacts docker images list-vulnerabilities "$scan" --location "$location" \
    --format 'csv[no-heading](vulnerability.effectiveSeverity,vulnerability.shortDescription)')
grave=$(printf '%s\n' "$found" | grep -E '^(HIGH|CRITICAL),' || :)
if [ -n "$grave" ]; then
    printf 'scan: not released:\n%s\n' "$grave" >&2
    exit 1
fi
echo "scan: nothing of severity HIGH or CRITICAL"
