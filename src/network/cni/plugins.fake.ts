import path from 'node:path';
import type { Ctx } from '#base/ctx';
import type { ProcessCommand, ProcessOutput } from '#linux/run-process';

/** One call of a plugin, as it saw it. */
export interface FakeCall {
  readonly type: string;
  readonly verb: string;
  readonly env: Readonly<Record<string, string>>;
  readonly conf: Readonly<Record<string, unknown>>;
}

/** What a plugin does: gives what it prints as an object, or how it ends. */
export type FakePlugin = (call: FakeCall, ctx: Ctx) => object | Partial<ProcessOutput> | Promise<object>;

/** Programs that are functions. `bridge` gives addresses that it never gives twice, others hand on what came before. */
export class FakePlugins {
  readonly calls: FakeCall[] = [];
  /** Addresses by container id, as `bridge` keeps them. */
  readonly leases = new Map<string, string>();
  /** Instead of what a plugin would do at this verb: "bridge ADD". */
  readonly instead = new Map<string, FakePlugin>();
  #next = 1;

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
    const id = env['CNI_CONTAINERID'] ?? '';
    if (type === 'bridge' && verb === 'DEL') this.leases.delete(id);
    if (verb !== 'ADD') return { stdout: '' };
    return type === 'bridge' ? this.#bridge(id, env, conf) : (conf['prevResult'] as object);
  };

  #bridge(id: string, env: Readonly<Record<string, string>>, conf: Readonly<Record<string, unknown>>): object {
    if (this.leases.has(id)) return { code: 1, stdout: JSON.stringify({ code: 101, msg: 'added twice' }) };
    const number = (this.#next += 1);
    const address = `10.9.${number >> 8}.${number & 0xff}`;
    this.leases.set(id, address);
    return {
      cniVersion: conf['cniVersion'],
      interfaces: [{ name: 'cni0' }, { name: `veth${number}` }, { name: 'eth0', sandbox: env['CNI_NETNS'] }],
      ips: [
        { address: `${address}/16`, gateway: '10.9.0.1', interface: 2 },
        { address: `fd09::${number.toString(16)}/64`, interface: 2 },
      ],
    };
  }
}
