#!/bin/sh
# sweep.sh DIR NAME: removes what a node that is gone has left: DIR, and control groups NAME in every hierarchy.
set -u
dir=$1 name=$2

groups() { find /sys/fs/cgroup -mindepth 1 -maxdepth 2 -type d -name "$name" 2>/dev/null; }
# The kernel takes its time to let go of the last mounts and tasks.
for _ in 1 2 3 4 5 6 7 8 9 10; do
  for group in $(groups); do
    find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null
  done
  rm -rf "$dir" 2>/dev/null
  [ ! -e "$dir" ] && [ -z "$(groups)" ] && exit 0
  sleep 0.3
done
echo "bench: could not remove $dir and the control groups $name" >&2
exit 1
