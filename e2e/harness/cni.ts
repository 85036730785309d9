import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { RuntimeCondition__Output } from '#cri-api/gen/runtime/v1/RuntimeCondition';
import type { Berthd } from './berthd.ts';
import type { TestNode } from './node.ts';
import { eventually } from './wait.ts';

/** Lines for berthd's config: CNI with directories of the node's own beside Debian's plugins. */
export function cniConfig(node: TestNode, timeout = '20s'): string {
  for (const name of ['net.d', 'bin']) mkdirSync(path.join(node.directory, name), { recursive: true });
  return `mode = "cni"
cni_conf_dir = "${node.directory}/net.d"
cni_bin_dirs = ["${node.directory}/bin", "/usr/lib/cni"]
cni_timeout = "${timeout}"`;
}

/** What CNI left and needs on a test's node. */
export class CniFiles {
  readonly #berthd: Berthd;
  #file: string | undefined;
  #serial = 10;

  constructor(berthd: Berthd) {
    this.#berthd = berthd;
  }

  get #node(): TestNode {
    return this.#berthd.node;
  }

  path(...names: string[]): string {
    return path.join(this.#node.directory, ...names);
  }

  /** The only configuration from now on: resolves when berthd says that it knows it. */
  async use(conf: object): Promise<void> {
    const before = this.#file;
    this.#file = this.path('net.d', `${(this.#serial += 1)}.conflist`);
    writeFileSync(this.#file, JSON.stringify(conf));
    if (before !== undefined) rmSync(before);
    await eventually(`${this.#file} is what berthd goes by`, async () => {
      const { message = '' } = (await this.networkReady()) ?? {};
      return message.includes(this.#file ?? '') && !message.includes('not used');
    });
  }

  async useNone(): Promise<void> {
    if (this.#file !== undefined) rmSync(this.#file);
    this.#file = undefined;
    await eventually('berthd sees that there is no configuration', async () => !(await this.networkReady())?.status);
  }

  /** The condition as a kubelet sees it. */
  async networkReady(): Promise<RuntimeCondition__Output | undefined> {
    const { status } = await this.#berthd.cri.runtime.status({});
    return status?.conditions.find(({ type }) => type === 'NetworkReady');
  }

  /** A plugin that is a shell script; its input is in $input, what came before in $before. */
  script(name: string, lines: string): void {
    const before = `before=$(printf %s "$input" | sed 's/.*"prevResult"://; s/}$//')`;
    writeFileSync(this.path('bin', name), `#!/bin/sh\ninput=$(cat)\n${before}\n${lines}\n`);
    chmodSync(this.path('bin', name), 0o755);
  }

  /** Addresses that host-local has given, of a network. */
  addresses(network: string): readonly string[] {
    return list(this.path('ipam', network))
      .filter((name) => /^[0-9a-f.:]+$/.test(name) && /[.:]/.test(name))
      .sort();
  }

  /** Files of namespaces. */
  namespaces(): readonly string[] {
    return list(this.path('netns'));
  }

  /** Where host-local gives addresses from. */
  ipam(...subnets: string[]): object {
    return {
      type: 'host-local',
      dataDir: this.path('ipam'),
      ranges: subnets.map((subnet) => [{ subnet }]),
      routes: subnets.map((subnet) => ({ dst: subnet.includes(':') ? '::/0' : '0.0.0.0/0' })),
    };
  }

  /** Rules and qdiscs of the node, as text. */
  async rules(): Promise<string> {
    const { stdout } = await this.#node.run(['sh', '-c', 'iptables-save; ip6tables-save; tc qdisc']);
    return stdout;
  }

  /** What plugins make for the node and leave there, as the specification has it. */
  async removeLeftovers(...bridges: string[]): Promise<void> {
    for (const bridge of bridges) await this.#node.run(['ip', 'link', 'delete', bridge]);
    await this.#node.run(['nft', 'flush', 'ruleset']);
  }
}

function list(directory: string): readonly string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}
