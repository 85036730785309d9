#!/bin/sh
# node.sh DIR NAME: a node for one run of the benchmark, with pid, mount, net, ipc and uts namespaces of its own. Says
# "ready" on standard output and lives until its standard input ends, whatever happened to who holds it. Then every
# process of it, its control groups (called NAME in every hierarchy) and DIR are removed.
set -u
here=$(dirname "$0")
unshare --mount --net --pid --ipc --uts --fork --kill-child --mount-proc --propagation private "$here/init.sh"
exec "$here/sweep.sh" "$1" "$2"
