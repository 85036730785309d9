import type { CgroupStats } from './cgroup/stats.ts';
import type { ContainerInput, PodInput } from './container-input.ts';
import type { ExitInfo, PodProcess } from './runtime.ts';
import type { LinuxResources, OciSpec } from './spec/oci.ts';
import type { InterfaceStats, ProcessStats } from './stats.ts';

export interface FakeContainer {
  readonly input: ContainerInput;
  readonly pid: number;
  state: 'created' | 'running' | 'exited';
  startedAtNs: bigint;
  exit: ExitInfo | undefined;
  readonly signals: number[];
  acknowledged: boolean;
  /** Every change of its limits. */
  readonly updates: LinuxResources[];
}

export interface FakePod {
  readonly input: PodInput;
  process: PodProcess;
  readonly containers: Map<string, FakeContainer>;
  /** Rejected when the shim ends: whoever waits for an answer of it waits no longer. */
  readonly ended: PromiseWithResolvers<never>;
}

export interface FakeDocuments {
  pod: string | undefined;
  more: string | undefined;
  readonly containers: Map<string, string>;
}

/** A machine made of Maps. It is the shims' side of the world: share one between two Sandboxes to play a restart. */
export class FakeMachine {
  readonly pods = new Map<string, FakePod>();
  /** Pods whose shim is gone, with the exits it had written. */
  readonly lost = new Map<string, Map<string, ExitInfo>>();
  /** What `sample` finds, by cgroup path, pod id and container id. */
  readonly usage = new Map<string, CgroupStats>();
  readonly networks = new Map<string, readonly InterfaceStats[]>();
  readonly processes = new Map<string, ProcessStats>();
  /** Control groups with processes of containers, by container; they outlive the shim. */
  readonly groups = new Map<string, { readonly podId: string; readonly path: string }>();
  /** What lies beside the shims. */
  readonly documents = new Map<string, FakeDocuments>();
  /** Pods whose shim is stopped: they answer nobody until the promise is resolved. */
  readonly stopped = new Map<string, PromiseWithResolvers<void>>();
  /** What is said of shims that hang while berthd runs. */
  readonly hanging: string[] = [];
  now = 1_700_000_000_000_000_000n;
  nextPid = 100;
}

/** Enough of a spec to be stored and shown. */
export function fakeSpec(input: ContainerInput): OciSpec {
  const capabilities = ['CAP_CHOWN'];
  return {
    ociVersion: '1.2.1',
    process: {
      terminal: input.tty,
      user: { uid: input.user.uid, gid: input.user.gid, umask: 0o022, additionalGids: [...input.user.additionalGids] },
      args: [...input.args],
      env: [...input.env],
      cwd: input.cwd,
      capabilities: {
        bounding: capabilities,
        effective: capabilities,
        permitted: capabilities,
        inheritable: [],
        ambient: [],
      },
      rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1024n, hard: 524_288n }],
      noNewPrivileges: input.noNewPrivileges,
    },
    root: { path: 'rootfs', readonly: input.rootfs.readonly },
    mounts: [],
    annotations: { ...input.annotations },
    linux: {
      namespaces: [{ type: 'mount' }],
      devices: [],
      cgroupsPath: input.cgroupPath,
      resources: {},
      sysctl: {},
      ...(input.seccomp.type === 'unconfined'
        ? {}
        : { seccomp: { defaultAction: 'SCMP_ACT_ERRNO', architectures: [], flags: [], syscalls: [] } }),
      maskedPaths: [...input.maskedPaths],
      readonlyPaths: [...input.readonlyPaths],
      rootfsPropagation: 'private',
    },
  };
}
