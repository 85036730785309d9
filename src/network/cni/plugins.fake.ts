import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Ctx } from '#base/ctx';
import type { ProcessCommand, ProcessOutput } from '#linux/run-process';
import { atLeast, isVersion, type CniVersion } from './conf-list.ts';
import { isFlat } from './result-forms.ts';

/** One call of a plugin, as it saw it. */
export interface FakeCall {
  readonly type: string;
  readonly verb: string;
  readonly env: Readonly<Record<string, string>>;
  readonly conf: Readonly<Record<string, unknown>>;
}

/** What a plugin does: gives what it prints as an object, or how it ends. */
export type FakePlugin = (call: FakeCall, ctx: Ctx) => object | Partial<ProcessOutput> | Promise<object>;

export interface FakePluginsOptions {
  /** The newest version of the specification that the plugins speak. */
  readonly newest: CniVersion;
}

/**
 * Programs that are functions. `bridge` gives addresses that it never gives twice, others hand on what came before. Pass
 * pluginsContract.
 */
export class FakePlugins {
  readonly calls: FakeCall[] = [];
  /** Addresses by container id, as `bridge` keeps them. */
  readonly leases = new Map<string, string>();
  /** Instead of what a plugin would do at this verb: "bridge ADD". */
  readonly instead = new Map<string, FakePlugin>();
  readonly #newest: CniVersion;
  #next = 1;

  constructor({ newest }: FakePluginsOptions = { newest: '1.1.0' }) {
    this.#newest = newest;
  }

  readonly run = async (ctx: Ctx, command: ProcessCommand): Promise<ProcessOutput> => {
    ctx.signal.throwIfAborted();
    const pairs = command.env.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]);
    const env = Object.fromEntries(pairs) as Record<string, string>;
    const conf = JSON.parse(String(command.stdin)) as Record<string, unknown>;
    const call: FakeCall = { type: path.basename(command.path), verb: env['CNI_COMMAND'] ?? '', env, conf };
    this.calls.push(call);
    const plugin = this.instead.get(`${call.type} ${call.verb}`) ?? this.#plugin;
    const done = await plugin(call, ctx);
    const ended = { code: 0, stdout: '', stderr: '', truncated: false };
    if ('code' in done || 'signal' in done || 'stdout' in done) return { ...ended, ...done };
    return { ...ended, stdout: JSON.stringify(done) };
  };

  /** What was called since the last time, as "type VERB". */
  take(): readonly string[] {
    return this.calls.splice(0).map(({ type, verb }) => `${type} ${verb}`);
  }

  readonly #plugin: FakePlugin = ({ type, verb, env, conf }) => {
    const version = conf['cniVersion'];
    if (!isVersion(version) || !atLeast(this.#newest, version)) return refusal(1, 'incompatible CNI versions');
    if ((verb === 'STATUS' || verb === 'GC') && !atLeast(this.#newest, '1.1.0')) {
      return refusal(4, `unknown CNI_COMMAND: ${verb}`);
    }
    const id = env['CNI_CONTAINERID'] ?? '';
    switch (verb) {
      case 'ADD':
        return type === 'bridge' ? this.#bridge(id, env, conf) : handOn(conf);
      case 'DEL':
        if (type === 'bridge') this.leases.delete(id);
        return nothing;
      case 'CHECK':
        return type === 'bridge' && !this.leases.has(id) ? refusal(999, `${id} has no address`) : nothing;
      case 'GC':
        if (type === 'bridge') this.#collect(conf['cni.dev/valid-attachments']);
        return nothing;
      default:
        return nothing;
    }
  };

  #collect(valid: unknown): void {
    const kept = new Set((valid as readonly { readonly containerID: string }[]).map(({ containerID }) => containerID));
    for (const id of this.leases.keys()) if (!kept.has(id)) this.leases.delete(id);
  }

  #bridge(id: string, env: Readonly<Record<string, string>>, conf: Readonly<Record<string, unknown>>): object {
    if (this.leases.has(id)) return refusal(999, `${id} has an address`);
    if (!existsSync(env['CNI_NETNS'] ?? '')) return refusal(999, `no namespace ${env['CNI_NETNS'] ?? ''}`);
    const number = (this.#next += 1);
    const address = `10.9.${number >> 8}.${number & 0xff}`;
    this.leases.set(id, address);
    const cniVersion = conf['cniVersion'] as CniVersion;
    if (isFlat(cniVersion)) {
      const ip4 = { ip: `${address}/16`, gateway: '10.9.0.1', routes: [{ dst: '0.0.0.0/0' }] };
      return { cniVersion, ip4, ip6: { ip: `fd09::${number.toString(16)}/64` } };
    }
    return {
      cniVersion,
      interfaces: [{ name: 'cni0' }, { name: `veth${number}` }, { name: 'eth0', sandbox: env['CNI_NETNS'] }],
      ips: [
        { address: `${address}/16`, gateway: '10.9.0.1', interface: 2 },
        { address: `fd09::${number.toString(16)}/64`, interface: 2 },
      ],
    };
  }
}

const nothing = { stdout: '' };

/** As a plugin that fails properly ends (CNI specification, section "Error"). */
function refusal(code: number, msg: string): Partial<ProcessOutput> {
  return { code: 1, stdout: JSON.stringify({ code, msg }) };
}

function handOn(conf: FakeCall['conf']): object {
  const { prevResult } = conf;
  return typeof prevResult === 'object' && prevResult !== null ? prevResult : refusal(7, 'must be chained');
}
