/**
 * Errors that a kubelet writes on such a node whatever the runtime: each was seen with containerd in Berth's place, and
 * each has its cause in the node.
 */
const causedByTheNode: readonly RegExp[] = [
  // No API server: nobody says what the node is.
  /failed to check if node is newer; using informer node/,
  // A first start has nothing to read.
  /Failed to read data from checkpoint.*checkpoint is not found/,
  // Control groups, limits and namespaces that this machine does not give away.
  /Failed to set rlimit on max file handles/,
  /Failed to ensure process in container with oom score/,
  // Asked before the first look at the runtime.
  /Skipping pod synchronization.*container runtime status check may not have completed yet/,
  /Image garbage collection failed once. Stats initialization may not have completed yet/,
  // cadvisor knows file systems of images by the names of two runtimes' sockets.
  /no imagefs label for configured runtime/,
  // The tests' own doing: containers that crash or fail their probes.
  /back-off \d+s restarting failed container=/,
  // It asks once more for what it has just removed.
  /ContainerStatus from runtime service failed.*code = NotFound/,
  // It asks for the status of a pod that has no sandbox yet, by no id at all; containerd refuses that too.
  /PodSandbox from runtime service failed.*podSandboxID=""/,
];

/** While the runtime is away, killed by the test. */
const whileAway = /code = Unavailable|error reading from server|transport is closing|connection reset/;
/** The kubelet is ended while it asks. */
const atItsEnd = /code = Canceled/;

/** Whether the line is an error that the runtime has to answer for. */
export function ownFault(line: string): boolean {
  return !whileAway.test(line) && !atItsEnd.test(line) && !causedByTheNode.some((known) => known.test(line));
}
