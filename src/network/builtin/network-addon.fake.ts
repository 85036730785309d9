import type { FileOperation, FileResult, LinkInfo, VethOptions, VethResult } from '#linux/addon';
import type { NetworkAddon } from './bridge-host.ts';
import type { RunTool, ToolCommand } from './run-tool.ts';

/** As much of the kernel as the built-in network touches: links, settings below /proc, namespaces as numbers. */
export class FakeNetworkAddon implements NetworkAddon {
  readonly files = new Map<string, string>([
    ['/proc/sys/net/ipv4/ip_forward', '0'],
    ['/proc/sys/net/ipv4/conf/berth0/route_localnet', '0'],
    ['/proc/sys/net/ipv6/conf/all/forwarding', '0'],
    ['/proc/sys/net/ipv6/conf/default/accept_ra', '1'],
    ['/proc/sys/net/ipv6/conf/eth0/accept_ra', '1'],
    ['/proc/sys/net/ipv6/conf/eth1/accept_ra', '0'],
    ['/proc/sys/net/ipv6/conf/eth1/mtu', '9000'],
  ]);
  readonly links = new Map<string, LinkInfo & { readonly veth?: VethOptions }>();
  readonly bridgeAddresses = new Set<string>();
  readonly openNamespaces = new Set<number>();
  /** What was called, in order, without arguments. */
  readonly calls: string[] = [];
  /** Awaited by the next calls of that name; a rejection is their failure. */
  readonly before = new Map<string, () => Promise<void>>();
  bridgeMtu: number | undefined;
  #next = 100;

  close(fd: number): void {
    if (!this.openNamespaces.delete(fd)) throw new Error(`closed twice: ${fd}`);
  }

  async createNetns(): Promise<number> {
    await this.#enter('createNetns');
    const fd = (this.#next += 1);
    this.openNamespaces.add(fd);
    return fd;
  }

  async ensureBridge(options: Parameters<NetworkAddon['ensureBridge']>[0]): Promise<void> {
    await this.#enter('ensureBridge');
    this.#put(options.name, 'bridge', 0);
    if (!this.files.has(`/proc/sys/net/ipv6/conf/${options.name}/accept_dad`) && this.files.has(ipv6Forwarding)) {
      for (const name of ['disable_ipv6', 'accept_ra', 'accept_dad']) {
        this.files.set(`/proc/sys/net/ipv6/conf/${options.name}/${name}`, '1');
      }
    }
    this.bridgeMtu = options.mtu;
    for (const address of options.addresses) this.bridgeAddresses.add(address);
  }

  async attachVeth(options: VethOptions): Promise<VethResult> {
    await this.#enter('attachVeth');
    const master = this.links.get(options.bridge)?.index;
    if (master === undefined) throw Object.assign(new Error('no such bridge'), { code: 'ENODEV' });
    const link = this.#put(options.hostName, 'veth', master, options);
    return { hostIndex: link.index, mac: options.mac ?? '' };
  }

  async listLinks(): Promise<LinkInfo[]> {
    await this.#enter('listLinks');
    return [...this.links.values()];
  }

  async forgetUdpFlows(ports: readonly number[]): Promise<number> {
    await this.#enter(`forgetUdpFlows ${ports.join(' ')}`);
    return 0;
  }

  async deleteLink(name: string): Promise<void> {
    await this.#enter('deleteLink');
    this.links.delete(name);
  }

  async batch(operations: readonly FileOperation[]): Promise<FileResult[]> {
    return operations.map((operation) => {
      const { op, path } = operation;
      if (op === 'list') return { data: this.#children(path).join('\n') };
      const data = this.files.get(path);
      if (data === undefined) return { error: 'ENOENT' };
      if (op !== 'write') return { data };
      this.calls.push(`write ${path.replace('/proc/sys/net/', '')} ${operation.data}`);
      this.files.set(path, operation.data);
      return {};
    });
  }

  async #enter(name: string): Promise<void> {
    this.calls.push(name);
    await this.before.get(name)?.();
  }

  #put(name: string, kind: string, master: number, veth?: VethOptions): LinkInfo {
    const index = this.links.get(name)?.index ?? (this.#next += 1);
    const link = { name, kind, master, index, mac: '', up: true, ...(veth === undefined ? {} : { veth }) };
    this.links.set(name, link);
    return link;
  }

  #children(directory: string): readonly string[] {
    const below = [...this.files.keys()].filter((path) => path.startsWith(`${directory}/`));
    return [...new Set(below.map((path) => path.slice(directory.length + 1).split('/')[0] ?? ''))];
  }
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
