import type { OciSpec } from '#sandbox/specs';
import { lostOutputOf } from '#sandbox/lost-output';
import type { Container, Pod } from '#sandbox/pod';

// What `inspect` shows beyond the protocol's fields: one JSON text under "info", with the names that users of other
// runtimes look for.

export function podInfo(pod: Pod): Record<string, string> {
  const { status, identity } = pod;
  const { cni, ...network } = status.network ?? {};
  return info({
    sandboxID: pod.id,
    runtimeType: 'berth',
    pid: status.process?.pausePid ?? 0,
    shimPid: status.process?.shimPid ?? 0,
    processStatus: status.state,
    reason: status.reason,
    message: status.message,
    runtimeHandler: identity.runtimeHandler,
    cgroupParent: identity.config.linux?.cgroup_parent ?? '',
    network: status.network ? network : null,
    cniResult: cni ? (JSON.parse(cni.result) as unknown) : null,
    // What was said last: by RunPodSandbox or by UpdatePodSandboxResources.
    resources: status.resources ?? identity.config.linux?.resources ?? null,
    overhead: status.overhead ?? identity.config.linux?.overhead ?? null,
    timeline: pod.timeline.entries,
    config: identity.config,
  });
}

/** What is told of a container beyond its record. */
export interface ContainerFacts {
  readonly spec: OciSpec | undefined;
  /** The directory of its writable layer. */
  readonly upper: string;
}

export function containerInfo(container: Container, { spec, upper }: ContainerFacts): Record<string, string> {
  const { status, made, identity } = container;
  return info({
    sandboxID: container.podId,
    pid: status.state === 'running' || status.state === 'created' ? status.pid : 0,
    runtimeType: 'berth',
    snapshotter: 'overlayfs',
    snapshotKey: container.id,
    writableLayer: upper,
    imageID: made.imageId,
    logPath: made.logPath,
    cgroupPath: made.cgroupPath,
    warnings: [...status.warnings, ...[lostOutputOf(container) ?? []].flat()],
    logBytesDropped: container.logBytesDropped,
    timeline: container.timeline.entries,
    config: {
      ...identity.config,
      envs: identity.config.envs.map(({ key, value }) => ({ key, value: value.toString('utf8') })),
    },
    runtimeSpec: spec ?? null,
  });
}

export function info(facts: object): Record<string, string> {
  return {
    info: JSON.stringify(facts, (_key, value: unknown) => (typeof value === 'bigint' ? exactNumber(value) : value)),
  };
}

/** A number with all its digits (2^64-1 is an unlimited rlimit), as the OCI specification's readers expect one. */
function exactNumber(value: bigint): unknown {
  return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(value.toString());
}
