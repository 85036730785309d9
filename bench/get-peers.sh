#!/bin/sh
# get-peers.sh DIR: builds the runtimes Berth is measured against into DIR, as Go modules by name: containerd with its
# shim and ctr, and runc. What is there already is left alone. About three minutes on two cores.
set -eu
dir=$(mkdir -p "$1" && cd "$1" && pwd)
containerd=v2.4.2 runc=v1.5.2

missing() { [ ! -x "$dir/$1" ]; }
if missing containerd || missing containerd-shim-runc-v2 || missing ctr || missing runc; then
  command -v go >/dev/null || {
    echo "bench: building containerd $containerd and runc $runc needs Go 1.26 or newer in PATH" >&2
    exit 1
  }
fi

export GOBIN="$dir" GOFLAGS=-buildvcs=false
for command in containerd containerd-shim-runc-v2 ctr; do
  missing $command && nice go install "github.com/containerd/containerd/v2/cmd/$command@$containerd"
done
missing runc && nice go install -tags seccomp "github.com/opencontainers/runc@$runc"
for command in containerd runc; do
  "$dir/$command" --version | head -n 1
done
