import type { PodNetworkRecord } from '#network/pod-network';
import type { RecordSpec } from '#store/collection';
import { decodeRecord, encodeRecord } from '#store/record';
import type { Container, Pod } from './pod.ts';
import { containerRecords, type ContainerMade, podRecords, specRecords, type SpecRecord } from './records.ts';

// What lies in a pod's directory, beside its shim, from before there is a process: who a pod or a container is, and what it
// was made from. They have the form of records, with version, boot and sum, and are written once. Whatever happens to the
// store, a living process can be told by its name. They are gone with the boot, as the processes are.

/** Written before the shim is started. */
export interface PodDocument {
  readonly id: string;
  /** As in the record. */
  readonly identity: string;
  readonly createdAtNs: bigint;
}

/** Written when the pod is ready, before anybody is told. Without it the pod is half-made. */
export interface ReadyDocument {
  readonly id: string;
  readonly network?: PodNetworkRecord;
  /** The network's own. */
  readonly memo: string;
}

/** Written before the container's process is made. */
export interface ContainerDocument {
  readonly id: string;
  readonly podId: string;
  readonly identity: string;
  readonly made: ContainerMade;
  readonly createdAtNs: bigint;
  /** Names of the mounted layers, top first. */
  readonly lowers: readonly string[];
  readonly spec: SpecRecord;
}

const podSpec: RecordSpec<PodDocument> = {
  version: 1,
  idOf: ({ id }) => id,
  parse: (value) => {
    const { id, identity, createdAtNs } = fieldsOf(value);
    podRecords.parse({ id, identity, status: { state: 'ready', createdAtNs } });
    return value as PodDocument;
  },
};

const readySpec: RecordSpec<ReadyDocument> = {
  version: 1,
  idOf: ({ id }) => id,
  parse: (value) => {
    const { id, memo, network } = fieldsOf(value);
    if (typeof id !== 'string' || typeof memo !== 'string') throw new Error('not what a ready pod leaves');
    if (network !== undefined) checkNetwork(network);
    return value as ReadyDocument;
  },
};

const containerSpec: RecordSpec<ContainerDocument> = {
  version: 1,
  idOf: ({ id }) => id,
  parse: (value) => {
    const { id, podId, identity, made, createdAtNs, lowers, spec } = fieldsOf(value);
    const status = { state: 'created', createdAtNs, startedAtNs: 0n, finishedAtNs: 0n };
    containerRecords.parse({ id, podId, identity, made, status });
    specRecords.parse(spec);
    if (!isTexts(lowers)) throw new Error('lowers is not a list of texts');
    return value as ContainerDocument;
  },
};

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null) return { ...value };
  throw new Error('not an object');
}

function checkNetwork(value: unknown): void {
  const { mode, addresses, hostInterface } = fieldsOf(value);
  if ((mode === 'builtin' || mode === 'cni') && isTexts(addresses) && typeof hostInterface === 'string') return;
  throw new Error('not the network of a pod');
}

const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every((item) => typeof item === 'string');

export function podDocument(bootId: string, { id, encoded, status }: Pod): string {
  const document: PodDocument = { id, identity: encoded, createdAtNs: status.createdAtNs };
  return encodeRecord(podSpec.version, bootId, document);
}

export function readyDocument(
  bootId: string,
  { id }: Pod,
  network: PodNetworkRecord | undefined,
  memo: string,
): string {
  const document: ReadyDocument = { id, memo, ...(network && { network }) };
  return encodeRecord(readySpec.version, bootId, document);
}

export function containerDocument(
  bootId: string,
  { id, podId, encoded, made, status }: Container,
  lowers: readonly string[],
  spec: SpecRecord,
): string {
  const { createdAtNs } = status;
  const document: ContainerDocument = { id, podId, identity: encoded, made, createdAtNs, lowers, spec };
  return encodeRecord(containerSpec.version, bootId, document);
}

/** Undefined for one that cannot be read, is another's, or was written before the machine started. */
export function readPodDocument(bootId: string, id: string, text: string | undefined): PodDocument | undefined {
  return read(podSpec, bootId, id, text);
}

export function readReadyDocument(bootId: string, id: string, text: string | undefined): ReadyDocument | undefined {
  return read(readySpec, bootId, id, text);
}

export function readContainerDocument(bootId: string, id: string, text: string): ContainerDocument | undefined {
  return read(containerSpec, bootId, id, text);
}

function read<T>(spec: RecordSpec<T>, bootId: string, id: string, text: string | undefined): T | undefined {
  if (text === undefined) return undefined;
  const decoded = decodeRecord(spec, text, id);
  return decoded.ok && decoded.bootId === bootId ? decoded.value : undefined;
}
