#!/bin/sh
# The first process of the node: prepares its namespaces, then reaps orphans until standard input ends.
set -eu
hostname berth-bench
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
[ ! -e /proc/sys/net/ipv6/conf/all/forwarding ] || echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
mount --make-rshared /
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p /run/lock /run/netns
# A bare v2 tree beside the v1 hierarchies is of no use to any of the runtimes and costs each of them time.
if [ -d /sys/fs/cgroup/unified ]; then umount /sys/fs/cgroup/unified; fi
# With SIGCHLD ignored the kernel reaps what is orphaned.
trap '' CHLD
echo ready
exec cat >/dev/null
