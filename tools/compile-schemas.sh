#!/bin/sh
# Compile src/hushbell/wire/schemas/*.proto to src/hushbell/wire/pb (needs grpcio-tools and mypy-protobuf).
# Usage: tools/compile-schemas.sh [python]
set -eu
cd "$(dirname "$0")/.."
python=${1:-python3}
bin=$(dirname "$(command -v "$python")")
# The virtual path makes protoc write beside the package and gives each file a unique name in the descriptor pool.
PATH="$bin:$PATH" "$python" -m grpc_tools.protoc -I hushbell/wire/pb=src/hushbell/wire/schemas \
    --python_out=src --mypy_out=src src/hushbell/wire/schemas/*.proto
