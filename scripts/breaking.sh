#!/bin/sh
# Checks the protos for breaking changes against main: on main itself, against the commit
# before. Until CHANGELOG.md has a 1.0, breaking changes are shown, not refused.
set -eu
buf=$1
base=$(git rev-parse --verify --quiet main || git rev-parse --verify --quiet origin/main || true)
if [ "$base" = "$(git rev-parse HEAD)" ]; then
    base=$(git rev-parse --verify --quiet HEAD~1 || true)
fi
if [ -z "$base" ] || ! git cat-file -e "$base:buf.yaml" 2>/dev/null; then
    echo "buf breaking: no earlier contract to compare with"
    exit 0
fi
if "$buf" breaking --against ".git#ref=$base"; then
    exit 0
fi
if grep -qE '^## \[?1\.' CHANGELOG.md; then
    exit 1
fi
echo "buf breaking: the changes above break clients; allowed until 1.0"
