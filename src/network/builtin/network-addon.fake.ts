import type { FileOperation, FileResult, LinkInfo, VethOptions, VethResult } from '#linux/addon';
import type { NetworkAddon } from './bridge-host.ts';
import type { RunTool, ToolCommand } from './run-tool.ts';
import { contains, parseAddress, parseSubnet } from './subnet.ts';

/** As much of the kernel as the built-in network touches. Passes networkAddonContract. */
export class FakeNetworkAddon implements NetworkAddon {
  readonly files = new Map<string, string>([
    ['/proc/sys/net/ipv4/ip_forward', '0'],
    ['/proc/sys/net/ipv6/conf/all/forwarding', '0'],
    ['/proc/sys/net/ipv6/conf/default/accept_ra', '1'],
    ['/proc/sys/net/ipv6/conf/lo/accept_ra', '1'],
    ['/proc/sys/net/ipv6/conf/eth0/accept_ra', '1'],
    ['/proc/sys/net/ipv6/conf/eth1/accept_ra', '0'],
    ['/proc/sys/net/ipv6/conf/eth1/mtu', '9000'],
  ]);
  /** Those that were made here: the loopback is listed besides. */
  readonly links = new Map<string, FakeLink>();
  readonly bridgeAddresses = new Set<string>();
  readonly openNamespaces = new Set<number>();
  /** What was called, in order, without arguments. */
  readonly calls: string[] = [];
  /** Awaited by the next calls of that name; a rejection is their failure. */
  readonly before = new Map<string, () => Promise<void>>();
  bridgeMtu: number | undefined;
  readonly #inhabited: boolean;
  #next = 100;

  /** @param options.inhabited somebody lives in each namespace, so that it outlives its descriptor, with its links */
  constructor(options: { readonly inhabited: boolean } = { inhabited: true }) {
    this.#inhabited = options.inhabited;
  }

  close(fd: number): void {
    if (!this.openNamespaces.delete(fd)) throw failure('EBADF', `closed twice: ${fd}`);
    if (this.#inhabited) return;
    for (const [name, { veth }] of this.links) if (veth?.netnsFd === fd) this.#take(name);
  }

  async createNetns(): Promise<number> {
    await this.#enter('createNetns');
    const fd = (this.#next += 1);
    this.openNamespaces.add(fd);
    return fd;
  }

  async ensureBridge(options: Parameters<NetworkAddon['ensureBridge']>[0]): Promise<void> {
    checkNames(options.name);
    await this.#enter('ensureBridge');
    const { name, mac, mtu, addresses } = options;
    if ((this.links.get(name)?.kind ?? 'bridge') !== 'bridge') throw failure('EEXIST', `${name} is no bridge`);
    this.#put({ name, kind: 'bridge', master: 0, mac });
    this.bridgeMtu = mtu;
    for (const address of addresses) this.bridgeAddresses.add(address);
  }

  async attachVeth(options: VethOptions): Promise<VethResult> {
    const { hostName, containerName, bridge, netnsFd, addresses, gateways } = options;
    checkNames(hostName, containerName, bridge);
    if (!this.openNamespaces.has(netnsFd)) throw failure('EBADF', `network namespace ${netnsFd}`);
    await this.#enter('attachVeth');
    const master = this.links.get(bridge)?.index;
    if (master === undefined) throw failure('ENODEV', 'no such bridge');
    const inside = [...this.links.values()].filter(({ veth }) => veth?.netnsFd === netnsFd);
    if (this.links.has(hostName) || inside.some(({ veth }) => veth?.containerName === containerName)) {
      throw failure('EEXIST', `${hostName} or ${containerName} is there`);
    }
    if (!gateways.every((gateway) => addresses.some((address) => isWithin(address, gateway)))) {
      throw failure('ENETUNREACH', 'add default route');
    }
    const link = this.#put({ name: hostName, kind: 'veth', master, veth: options });
    return { hostIndex: link.index, mac: options.mac ?? macOf(link.index + 1) };
  }

  async listLinks(): Promise<LinkInfo[]> {
    await this.#enter('listLinks');
    const loopback = { name: 'lo', index: 1, kind: '', master: 0, mac: '00:00:00:00:00:00', up: true };
    return [loopback, ...this.links.values()];
  }

  async forgetUdpFlows(ports: readonly number[]): Promise<number> {
    await this.#enter(`forgetUdpFlows ${ports.join(' ')}`);
    return 0;
  }

  async deleteLink(name: string): Promise<void> {
    checkNames(name);
    await this.#enter('deleteLink');
    this.#take(name);
  }

  async batch(operations: readonly FileOperation[]): Promise<FileResult[]> {
    let failed = false;
    return operations.map((operation) => {
      if (failed) return { error: 'ECANCELED' };
      const result = this.#file(operation);
      const { optional = false } = operation;
      const passes = typeof optional === 'boolean' ? optional : optional.includes(result.error ?? '');
      failed = result.error !== undefined && !passes;
      return result;
    });
  }

  #file(operation: FileOperation): FileResult {
    const { op, path } = operation;
    if (op === 'list') {
      const names = this.#children(path);
      return names.length === 0 ? { error: 'ENOENT' } : { data: names.join('\n') };
    }
    const data = this.files.get(path);
    if (data === undefined) return { error: 'ENOENT' };
    if (op === 'read') return { data: data.endsWith('\n') ? data : `${data}\n` };
    if (op !== 'write') return { error: 'EOPNOTSUPP' };
    this.calls.push(`write ${path.replace('/proc/sys/net/', '')} ${operation.data}`);
    this.files.set(path, operation.data);
    return {};
  }

  async #enter(name: string): Promise<void> {
    this.calls.push(name);
    await this.before.get(name)?.();
  }

  #put({ mac, ...rest }: NewLink): LinkInfo {
    const known = this.links.get(rest.name);
    const index = known?.index ?? (this.#next += 1);
    const link = { ...rest, index, mac: mac ?? known?.mac ?? macOf(index), up: true };
    this.links.set(link.name, link);
    if (known) return link;
    this.files.set(`/proc/sys/net/ipv4/conf/${link.name}/route_localnet`, '0');
    // Only where the kernel has IPv6.
    if (this.files.has(ipv6Forwarding)) {
      for (const name of ['disable_ipv6', 'accept_ra', 'accept_dad']) {
        this.files.set(`/proc/sys/net/ipv6/conf/${link.name}/${name}`, '1');
      }
    }
    return link;
  }

  #take(name: string): void {
    const link = this.links.get(name);
    if (!link) return;
    this.links.delete(name);
    for (const path of [...this.files.keys()]) if (path.includes(`/conf/${name}/`)) this.files.delete(path);
    for (const [port, one] of this.links) if (one.master === link.index) this.links.set(port, { ...one, master: 0 });
  }

  #children(directory: string): readonly string[] {
    const below = [...this.files.keys()].filter((path) => path.startsWith(`${directory}/`));
    return [...new Set(below.map((path) => path.slice(directory.length + 1).split('/')[0] ?? ''))];
  }
}

type FakeLink = LinkInfo & { readonly veth?: VethOptions };
type NewLink = Pick<FakeLink, 'name' | 'kind' | 'master' | 'veth'> & { readonly mac?: string | undefined };

const macOf = (index: number): string => `02:00:00:00:00:${(index & 0xff).toString(16).padStart(2, '0')}`;

function failure(code: string, message: string): Error {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}

/** As the addon: at once, before anything is asked of the kernel. */
function checkNames(...names: readonly string[]): void {
  for (const name of names) if (!/^[^\s/]{1,15}$/.test(name)) throw new TypeError(`not a link's name: ${name}`);
}

function isWithin(cidr: string, address: string): boolean {
  const inside = parseAddress(address);
  return inside !== undefined && contains(parseSubnet(cidr), inside);
}

const ipv6Forwarding = '/proc/sys/net/ipv6/conf/all/forwarding';

/** Instead of nft: remembers what it was told. */
export class FakeTools {
  readonly commands: ToolCommand[] = [];
  /** What `nft -j list chains` prints. */
  chains = '{"nftables": []}';
  failure: Error | undefined;
  /** Exit codes of the next runs; 0 afterwards. */
  readonly codes: number[] = [];

  readonly run: RunTool = async (_ctx, command) => {
    if (this.failure !== undefined) throw this.failure;
    this.commands.push(command);
    return { code: this.codes.shift() ?? 0, stdout: command.argv.includes('list') ? this.chains : '', stderr: '' };
  };

  get tables(): readonly string[] {
    return this.commands.filter(({ argv }) => argv.includes('-f')).map(({ stdin }) => stdin);
  }
}
