import { BerthError } from '#base/errors';
import type { NamespaceMode__Output } from '#cri-api/gen/runtime/v1/NamespaceMode';
import type { PodSandboxConfig__Output } from '#cri-api/gen/runtime/v1/PodSandboxConfig';
import { isOfInterface } from '#network/interface-settings';
import type { PodInput, UserNamespace } from '#runtime/container-input';
import { checkOwnNamespaces, userNamespace } from './user-namespace.ts';

const podShmBytes = 64n * 1024n * 1024n;

/** The namespaces of a pod, from its config; what Berth cannot do is said here, before anything is made. */
export interface PodNamespaces {
  readonly network: 'pod' | 'node';
  readonly ipc: 'pod' | 'node';
  readonly pid: 'pod' | 'container' | 'node';
}

export function podNamespaces(config: PodSandboxConfig__Output): PodNamespaces {
  const options = config.linux?.security_context?.namespace_options ?? null;
  return {
    network: place(options?.network ?? 'POD', 'network'),
    ipc: place(options?.ipc ?? 'POD', 'ipc'),
    pid: pidPlace(options?.pid ?? 'POD'),
  };
}

function place(mode: NamespaceMode__Output, what: string): 'pod' | 'node' {
  if (mode === 'POD') return 'pod';
  if (mode === 'NODE') return 'node';
  throw new BerthError('INVALID_ARGUMENT', `${what} namespace mode ${mode} is not POD or NODE`);
}

function pidPlace(mode: NamespaceMode__Output): 'pod' | 'container' | 'node' {
  switch (mode) {
    case 'POD':
      return 'pod';
    case 'CONTAINER':
      return 'container';
    case 'NODE':
      return 'node';
    default:
      // TARGET is a container's word.
      throw new BerthError('INVALID_ARGUMENT', `pid namespace mode ${mode} is not one a pod can have`);
  }
}

/** What a pod without a network of its own shows as its name is the node's. */
export function podHostname(config: PodSandboxConfig__Output, nodeHostname: string): string {
  const { network } = podNamespaces(config);
  if (network === 'node') return nodeHostname;
  // Without a name of its own the pod is called by its metadata; a name is a label of DNS at most 63 long.
  const name = config.hostname === '' ? nameAsHostname(config.metadata?.name ?? '') : config.hostname;
  const why = whyNoHostname(name);
  if (why === '') return name;
  throw new BerthError('INVALID_ARGUMENT', `hostname ${JSON.stringify(name.slice(0, 80))} ${why}`);
}

/** HOST_NAME_MAX of the kernel. */
const hostnameBytes = 64;

function whyNoHostname(name: string): string {
  const bytes = Buffer.byteLength(name);
  if (bytes > hostnameBytes) return `has ${bytes} bytes, at most ${hostnameBytes} are possible`;
  return /[\0-\x20/\x7f]/.test(name) ? 'has white space, a control character or a slash' : '';
}

const nameAsHostname = (name: string): string => name.slice(0, 63).replace(/[-.]+$/, '');

/** A pod's config in the runtime's words. `netns` and the document are added by whoever makes it. */
export function podInput(
  podId: string,
  config: PodSandboxConfig__Output,
  nodeHostname: string,
): Omit<PodInput, 'document'> {
  const namespaces = podNamespaces(config);
  const users = userNamespace(config.linux?.security_context?.namespace_options ?? null);
  if (users) checkOwnNamespaces(namespaces);
  return {
    podId,
    ...namespaces,
    ...(users && { users }),
    uts: namespaces.network,
    hostname: podHostname(config, nodeHostname),
    sysctls: chosen(podSysctls(config, namespaces, users), (name) => !isOfInterface(name)),
    shmBytes: podShmBytes,
  };
}

/** Kernel settings that are kept per ipc namespace (ipc_namespaces(7)). */
const ipcSysctls = new Set([
  'kernel.msgmax',
  'kernel.msgmnb',
  'kernel.msgmni',
  'kernel.sem',
  'kernel.shmall',
  'kernel.shmmax',
  'kernel.shmmni',
  'kernel.shm_rmid_forced',
]);

/**
 * A pod with a network of its own may bind low ports and open ICMP sockets without a capability: in its own namespace
 * both are harmless, and images rely on it. Its routes are those that it was given: with redirects taken on `all`, no
 * interface could refuse them.
 */
const ownNetworkSysctls: Readonly<Record<string, string>> = {
  'net.ipv4.ip_unprivileged_port_start': '0',
  'net.ipv4.ping_group_range': '0 2147483647',
  'net.ipv4.conf.all.accept_redirects': '0',
};

/** Only what is kept per namespace, and only in a namespace of the pod: anything else would set the node's. */
function podSysctls(
  config: PodSandboxConfig__Output,
  namespaces: PodNamespaces,
  users: UserNamespace | undefined,
): Readonly<Record<string, string>> {
  const sysctls: Record<string, string> = namespaces.network === 'pod' ? { ...ownNetworkSysctls } : {};
  // The kernel refuses a group that does not exist inside.
  if (users) sysctls['net.ipv4.ping_group_range'] = `0 ${users.gids.length - 1}`;
  for (const [given, value] of Object.entries(config.linux?.sysctls ?? {})) {
    const name = canonicalSysctl(given);
    // CVE-2022-0811: "a+kernel.core_pattern=|x" was once passed to a program that split it.
    if (/[+=\n\0]/.test(value))
      throw new BerthError('INVALID_ARGUMENT', `sysctl ${name}: its value has a character that is not allowed`);
    if (!isOwn(name, namespaces)) {
      throw new BerthError(
        'INVALID_ARGUMENT',
        `sysctl ${name} is not kept per pod, or the pod shares the node's namespace for it`,
      );
    }
    sysctls[name] = value;
  }
  return sysctls;
}

/** Those of the pod's interfaces: there is none before its network is made. */
export function interfaceSysctls(config: PodSandboxConfig__Output): Readonly<Record<string, string>> {
  return chosen(podSysctls(config, podNamespaces(config), undefined), isOfInterface);
}

function chosen(
  sysctls: Readonly<Record<string, string>>,
  which: (name: string) => boolean,
): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(sysctls).filter(([name]) => which(name)));
}

function isOwn(name: string, { network, ipc }: PodNamespaces): boolean {
  // A pod that has a network of its own has a name of its own, and a domain; the name is its `hostname`.
  if (name.startsWith('net.') || name === 'kernel.domainname') return network === 'pod';
  return isIpc(name) && ipc === 'pod';
}

const isIpc = (name: string): boolean => ipcSysctls.has(name) || name.startsWith('fs.mqueue.');

const stepPattern = /^[A-Za-z0-9_:-]+(\/[A-Za-z0-9_:-]+)*$/;

/** sysctl(8) takes dots and slashes for one another; one form is checked and passed on. */
function canonicalSysctl(given: string): string {
  const slashed = given.includes('/') && given.indexOf('/') < (given.indexOf('.') + 1 || Infinity);
  const name = slashed ? given.replace(/[./]/g, (c) => (c === '/' ? '.' : '/')) : given;
  const [first = '', ...rest] = name.split('.');
  // A slash is a dot of an interface's own name, and of nothing else.
  const isPlain = /^[a-z0-9_-]+$/.test(first) && rest.length > 0 && rest.every((step) => stepPattern.test(step));
  if (!isPlain || (name.includes('/') && !isOfInterface(name))) {
    throw new BerthError('INVALID_ARGUMENT', `sysctl name ${JSON.stringify(given.slice(0, 128))} is not allowed`);
  }
  return name;
}
