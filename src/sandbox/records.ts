import { BerthError } from '#base/errors';
import type { LinuxContainerResources__Output } from '#cri-api/gen/runtime/v1/LinuxContainerResources';
import type { PodNetworkRecord } from '#network/pod-network';
import type { OciSpec } from '#runtime/spec/oci';
import type { CollectionSpec } from '#store/collection';

// What the store keeps of pods and containers. `identity` is base64 of the request's protobuf bytes and never changes;
// `status` changes by the functions of states.ts only.

export interface PodRecord {
  readonly id: string;
  readonly identity: string;
  readonly status: PodStatus;
}

export interface PodStatus {
  readonly state: PodState;
  readonly createdAtNs: bigint;
  /** There is a network to tear down. */
  readonly network?: PodNetworkRecord;
  /** The limits the kubelet has set since, and what it counts for the pod itself. */
  readonly resources?: LinuxContainerResources__Output;
  readonly overhead?: LinuxContainerResources__Output;
  /** There are processes to end. */
  readonly process?: { readonly pausePid: number; readonly shimPid: number };
  /** Why it is not ready: one word, and a sentence. */
  readonly reason: string;
  readonly message: string;
}

export type PodState = 'creating' | 'ready' | 'notReady';

export interface ContainerRecord {
  readonly id: string;
  readonly podId: string;
  readonly identity: string;
  readonly made: ContainerMade;
  readonly status: ContainerStatus;
}

/** What was decided when the container was made; never changes. */
export interface ContainerMade {
  readonly imageId: string;
  readonly cgroupPath: string;
  /** "" for none. */
  readonly logPath: string;
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] };
  readonly stopSignal: number;
}

export interface ContainerStatus {
  readonly state: ContainerState;
  readonly createdAtNs: bigint;
  /** 0n: never. */
  readonly startedAtNs: bigint;
  readonly finishedAtNs: bigint;
  readonly exitCode: number;
  readonly reason: string;
  readonly message: string;
  readonly pid: number;
  readonly warnings: readonly string[];
  /** Limits as they were last changed; missing: those of the identity. */
  readonly resources?: LinuxContainerResources__Output;
}

export type ContainerState = 'creating' | 'created' | 'running' | 'exited';

/** The spec a container runs by, written once. */
export interface SpecRecord {
  /** The container's. */
  readonly id: string;
  /** Without the profile of RuntimeDefault, which is made anew from the capabilities. */
  readonly spec: OciSpec;
  readonly defaultSeccomp: boolean;
}

export const podRecords: CollectionSpec<PodRecord> = {
  kind: 'pod',
  version: 1,
  sync: false,
  idOf: ({ id }) => id,
  parse: (value) => {
    const record = object(value, 'pod record');
    const status = object(record['status'], 'status');
    text(record['id'], 'id');
    text(record['identity'], 'identity');
    oneOf(status['state'], ['creating', 'ready', 'notReady'], 'state');
    big(status['createdAtNs'], 'createdAtNs');
    return value as PodRecord;
  },
};

export const containerRecords: CollectionSpec<ContainerRecord> = {
  kind: 'container',
  version: 1,
  sync: false,
  idOf: ({ id }) => id,
  parse: (value) => {
    const record = object(value, 'container record');
    const status = object(record['status'], 'status');
    const made = object(record['made'], 'made');
    text(record['id'], 'id');
    text(record['identity'], 'identity');
    text(record['podId'], 'podId');
    text(made['imageId'], 'imageId');
    text(made['cgroupPath'], 'cgroupPath');
    oneOf(status['state'], ['creating', 'created', 'running', 'exited'], 'state');
    for (const name of ['createdAtNs', 'startedAtNs', 'finishedAtNs']) big(status[name], name);
    return value as ContainerRecord;
  },
};

export const specRecords: CollectionSpec<SpecRecord> = {
  kind: 'spec',
  version: 1,
  sync: false,
  idOf: ({ id }) => id,
  parse: (value) => {
    const record = object(value, 'spec record');
    const spec = object(record['spec'], 'spec');
    text(record['id'], 'id');
    object(spec['process'], 'process');
    object(spec['linux'], 'linux');
    return value as SpecRecord;
  },
};

function object(value: unknown, name: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  throw new BerthError('STATE_CORRUPT', `${name} is not an object`);
}

function text(value: unknown, name: string): void {
  if (typeof value !== 'string') throw new BerthError('STATE_CORRUPT', `${name} is not a text`);
}

function big(value: unknown, name: string): void {
  if (typeof value !== 'bigint') throw new BerthError('STATE_CORRUPT', `${name} is not a whole number`);
}

function oneOf(value: unknown, known: readonly string[], name: string): void {
  if (typeof value !== 'string' || !known.includes(value)) {
    throw new BerthError('STATE_CORRUPT', `${name} is none of ${known.join(', ')}`);
  }
}
