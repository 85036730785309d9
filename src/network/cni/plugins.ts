import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Ctx } from '#base/ctx';
import { Deadline } from '#base/deadline';
import { BerthError, isBerthError, messageOf, toBerthError } from '#base/errors';
import { Slots } from '#base/slots';
import type { ProcessCommand, ProcessOutput } from '#linux/run-process';
import { isObject } from './conf-list.ts';

/** Runs a program to its end; kills it and what it started when the context ends. */
export type RunProgram = (ctx: Ctx, command: ProcessCommand) => Promise<ProcessOutput>;

export type Verb = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS';

/** Which pod is meant; missing for verbs that are about the network as a whole. */
export interface CallTarget {
  readonly containerId: string;
  /** A file that is the namespace; "" when it is gone. */
  readonly netns: string;
  readonly args: string;
}

export interface PluginCall {
  readonly type: string;
  readonly verb: Verb;
  /** What it reads. */
  readonly conf: object;
  readonly target?: CallTarget;
}

export interface PluginsOptions {
  readonly run: RunProgram;
  /** Searched in this order. */
  readonly binDirs: readonly string[];
  /** For one call of one plugin. */
  readonly timeoutMs: number;
}

/** The interface that every pod has its address on. */
export const podInterface = 'eth0';

/** Plugins at work at the same time: each holds up to two outputs of this size. */
const maxProcesses = 32;
const outputLimit = 1024 * 1024;
const shownLimit = 1000;
/** Where plugins find iptables, nft, ip. */
const programPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** CNI specification, section "Error": the plugin wants to be asked again. */
const tryAgain = 11;
/** There: the plugin does not know the container, so that there is nothing to undo. */
const unknownContainer = 3;

/** Whether the plugin itself has said that it has nothing of the container. */
export function knowsNothingOf(error: unknown): boolean {
  return isBerthError(error, 'NETWORK_FAILED') && error.details['pluginCode'] === unknownContainer;
}

/** Network plugins as programs: found, run, and their answers read. */
export class Plugins {
  readonly #options: PluginsOptions;
  readonly #slots = new Slots(maxProcesses);

  constructor(options: PluginsOptions) {
    this.#options = options;
  }

  /** The path of a plugin. @throws UNAVAILABLE */
  async find(type: string): Promise<string> {
    const { binDirs } = this.#options;
    const unfit: string[] = [];
    for (const directory of binDirs) {
      const file = path.join(directory, type);
      const why = await whyNoProgram(file);
      if (why === undefined) return file;
      if (why !== '') unfit.push(`${file} ${why}`);
    }
    const others = unfit.length === 0 ? '' : ` (${unfit.join(', ')})`;
    throw new BerthError(
      'UNAVAILABLE',
      `network plugin ${type} is not in ${binDirs.join(', ')}${others}: install it there`,
    );
  }

  /**
   * Calls one plugin.
   *
   * @param read makes something of what it printed (undefined for nothing), and throws with a sentence about it
   * @throws NETWORK_FAILED (with `pluginCode` in its details when that is what the plugin itself reported), DEADLINE_EXCEEDED, or UNAVAILABLE when it is not there or wants to be asked again; each
   * names plugin, path and verb
   */
  async call<T>(ctx: Ctx, { type, verb, conf, target }: PluginCall, read: (printed: unknown) => T): Promise<T> {
    const file = await this.find(type);
    const who = `network plugin ${type} (${file}) ${verb}`;
    using _slot = await this.#slots.acquire(ctx.signal);
    using deadline = new Deadline(this.#options.timeoutMs, who, ctx.signal);
    const output = await this.#run(ctx.detach(deadline.signal), who, {
      path: file,
      argv: [file],
      env: this.#environment(verb, target),
      stdin: JSON.stringify(conf),
      limit: outputLimit,
    });
    const printed = answer(who, output);
    try {
      return read(printed);
    } catch (error) {
      throw new BerthError('NETWORK_FAILED', `${who} printed ${messageOf(error)}`, { cause: error });
    }
  }

  async #run(ctx: Ctx, who: string, command: ProcessCommand): Promise<ProcessOutput> {
    try {
      return await this.#options.run(ctx, command);
    } catch (error) {
      ctx.signal.throwIfAborted();
      throw toBerthError(error, who);
    }
  }

  #environment(verb: Verb, target: CallTarget | undefined): readonly string[] {
    const common = [`CNI_COMMAND=${verb}`, `CNI_PATH=${this.#options.binDirs.join(':')}`, `PATH=${programPath}`];
    if (target === undefined) return common;
    return [
      ...common,
      `CNI_CONTAINERID=${target.containerId}`,
      `CNI_NETNS=${target.netns}`,
      `CNI_IFNAME=${podInterface}`,
      `CNI_ARGS=${target.args}`,
    ];
  }
}

function answer(who: string, { code, signal, stdout, stderr, truncated }: ProcessOutput): unknown {
  const parsed = parse(stdout);
  if (truncated && (code === 0 || signal !== undefined)) throw failed(`${who} wrote more than ${outputLimit} bytes`);
  if (code === 0 && parsed.error === undefined) {
    const reported = errorIn(parsed.value);
    if (reported === undefined) return parsed.value;
    throw failed(`${who} ended with 0 but printed an error: ${reported.sentence}`);
  }
  if (code === 0) throw failed(`${who} printed no JSON (${parsed.error}): ${short(stdout)}`);
  const reported = errorIn(parsed.value);
  if (reported !== undefined) {
    throw new BerthError(
      reported.code === tryAgain ? 'UNAVAILABLE' : 'NETWORK_FAILED',
      `${who}: ${reported.sentence}`,
      {
        details: { pluginCode: reported.code },
      },
    );
  }
  const end = signal === undefined ? `exit code ${code ?? '?'}` : `signal ${signal}`;
  throw failed(`${who} failed with ${end}: ${short(stderr) || short(stdout) || 'it said nothing'}`);
}

function parse(stdout: string): { readonly value?: unknown; readonly error?: string } {
  if (stdout.trim() === '') return {};
  try {
    return { value: JSON.parse(stdout) as unknown };
  } catch (error) {
    return { error: short(messageOf(error)).slice(0, 200) };
  }
}

/** The specification's error object, as one sentence. */
function errorIn(value: unknown): { readonly code: number; readonly sentence: string } | undefined {
  if (!isObject(value)) return undefined;
  const { code, msg, details } = value;
  if (typeof code !== 'number' || typeof msg !== 'string') return undefined;
  const words = [msg, typeof details === 'string' ? details : ''].map(short).filter((text) => text !== '');
  return { code, sentence: `${words.join('; ') || 'no words'} (code ${code})` };
}

function short(text: string): string {
  return text.trim().replace(/\s+/g, ' ').slice(0, shownLimit);
}

function failed(message: string): BerthError {
  return new BerthError('NETWORK_FAILED', message);
}

/** undefined for a program, "" for nothing. */
async function whyNoProgram(file: string): Promise<string | undefined> {
  try {
    if (!(await stat(file)).isFile()) return 'is no file';
  } catch {
    return '';
  }
  return access(file, constants.X_OK).then(
    () => undefined,
    () => 'is not executable',
  );
}
