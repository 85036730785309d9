/** The differences from runc that Berth chose; docs/clean-start.md explains each, in the same order. */
export const chosenDifferences: readonly { readonly line: RegExp; readonly why: string }[] = [
  { line: /^[-+] fd [012]: /, why: 'stdin is /dev/null and output goes to the log pump; runc run hands down its own' },
  { line: /^[-+] mount: \S+ \/ /, why: 'the root is an overlay of the image; runc was given a plain directory' },
  {
    line: /^[-+] mount: \S+ \/(etc\/(hosts|hostname|resolv\.conf)|selfie) /,
    why: 'bind mounts show the node file system they come from',
  },
  {
    line: /^[-+] mount: \S+ \/dev\/(shm|mqueue) /,
    why: "the pod's /dev/shm, and mqueue, which this runc was not asked for",
  },
  {
    line: /^[-+] mount: (tmpfs \/sys\/fs\/cgroup tmpfs|\S+ \/sys\/fs\/cgroup\/systemd cgroup) /,
    why: 'the directory of the cgroup mounts is read-only and small; every mount in it is called cgroup',
  },
  {
    line: /^[-+] mount: \S+ \/(proc|sys)\/\S+ (tmpfs|devtmpfs) /,
    why: 'masked directories share one read-only tmpfs a pod instead of a file system each; masked files are a /dev/null',
  },
];
