#!/bin/sh
# Type-checks the TypeScript example, and runs it against a server of its own.
set -eu
python=$1
if ! command -v npm >/dev/null 2>&1; then
    echo "node: Node.js is not installed; the TypeScript example is not checked"
    exit 0
fi
"$python" scripts/node_example.py
