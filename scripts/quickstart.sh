#!/usr/bin/env bash
# Set up everything and let the example portrait speak: the result is demo.mp4 beside the README.
set -euo pipefail
source "$(dirname "$0")/setup.sh" ""
.venv/bin/talkinghead demo --output demo.mp4 --overwrite "$@"
echo "Watch it: $PWD/demo.mp4"
