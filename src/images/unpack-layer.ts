import { Socket } from 'node:net';
import type { Ctx } from '#base/ctx';
import { BerthError, isBerthError, toBerthError } from '#base/errors';
import type { ErrorCode } from '#base/error-codes';
import type { Addon, ProcessExit } from '#linux/addon';
import { Fd } from '#linux/fd';
import { ownPipe } from '#linux/own-fd';
import type { LayerInput } from './layer-source.ts';
import { isDigest } from './reference.ts';

/** One run of berth-unpack; native/unpack/README.md is the other side of this file. */
export interface UnpackOptions {
  readonly addon: Addon;
  readonly binary: string;
  readonly input: LayerInput;
  /** An existing directory. */
  readonly destination: string;
  /** For messages: "layer sha256:…". */
  readonly what: string;
  readonly expectCompressed?: string | undefined;
  readonly expectDiffId?: string | undefined;
  /** Of files. Default: the unpacker's. */
  readonly maxBytes?: number | undefined;
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** Names are bytes, as Latin-1. */
export interface UnpackResult {
  readonly compressed: string;
  readonly diffId: string;
  readonly bytes: number;
  readonly inodes: number;
  /** Bytes behind the end of the tar, which nobody reads. */
  readonly ignored: number;
  readonly implied: readonly string[];
  readonly opaque: readonly string[];
}

/** 2 × 65,536 names of at most 3 KiB, each byte up to six characters, is absurd; this is generous. */
const maxOutput = 64 * 1024 * 1024;
/** Of what it wrote to its standard error, from the end: a loader's or allocator's last words. */
const maxLastWords = 2048;
const sigKill = 9;
const sigSys = 31;

const codes: Readonly<Record<string, ErrorCode>> = {
  INVALID: 'IMAGE_INVALID',
  LIMIT: 'IMAGE_INVALID',
  DIGEST: 'IMAGE_INVALID',
  NO_SPACE: 'RESOURCE_EXHAUSTED',
  SYSTEM: 'KERNEL',
};

/**
 * Unpacks one layer in a process of its own, which an abort of `ctx` kills. After a failure the destination holds
 * anything: remove it.
 *
 * @throws IMAGE_INVALID, RESOURCE_EXHAUSTED, KERNEL, UNAVAILABLE when it was killed from outside, or the reason of the abort
 */
export async function unpackLayer(ctx: Ctx, options: UnpackOptions): Promise<UnpackResult> {
  ctx.signal.throwIfAborted();
  const { addon, what } = options;
  using destination = new Fd(addon.openDirectory(options.destination), (fd) => addon.close(fd));
  const { read: readEnd, write: writeEnd } = ownPipe(addon);
  using read = readEnd;
  using write = writeEnd;
  const { read: errorReadEnd, write: errorWriteEnd } = ownPipe(addon);
  using errorRead = errorReadEnd;
  using errorWrite = errorWriteEnd;
  const child = spawn(options, { errors: errorWrite.number, result: write.number, destination: destination.number });
  using pidfd = new Fd(child.pidfd, (fd) => addon.close(fd));
  for (const end of [write, errorWrite]) end[Symbol.dispose]();
  options.input.handedOver();
  const kill = (): void => void addon.pidfdSendSignal(pidfd.number, sigKill);
  ctx.signal.addEventListener('abort', kill, { once: true });
  try {
    const exited = addon.waitPidfd(pidfd.number);
    const last = readResult(read.take(), options.onProgress, kill);
    const words = readLastWords(errorRead.take());
    // All of them: the process is reaped before its pidfd is closed, and the pipes are read to their ends.
    const [exit, result, lastWords] = await Promise.allSettled([exited, last, words]);
    ctx.signal.throwIfAborted();
    if (exit.status === 'rejected') throw toBerthError(exit.reason, `wait for the unpacker of ${what}`);
    if (result.status === 'rejected') throw toBerthError(result.reason, `read the result of unpacking ${what}`);
    if (result.value !== undefined) return resultOf(result.value, what);
    throw silentEnd(what, exit.value, lastWords.status === 'fulfilled' ? lastWords.value : '');
  } finally {
    ctx.signal.removeEventListener('abort', kill);
  }
}

/** It ended without a result. */
function silentEnd(what: string, { code, signal }: ProcessExit, lastWords: string): BerthError {
  const said = lastWords === '' ? '' : `; its last words: ${lastWords}`;
  if (signal === undefined) {
    return new BerthError('INTERNAL', `unpacker of ${what} ended with status ${code} and no result${said}`);
  }
  const details = { signal };
  switch (signal) {
    case sigSys:
      return new BerthError(
        'IMAGE_INVALID',
        `unpacker of ${what} was killed for a system call that unpacking does not need${said}`,
        { details },
      );
    case sigKill:
      // Nobody here did it.
      return new BerthError(
        'UNAVAILABLE',
        `unpacker of ${what} was killed by SIGKILL, perhaps because the node ran out of memory: try again${said}`,
        { details },
      );
    default:
      return new BerthError('INTERNAL', `unpacker of ${what} was killed by signal ${signal}${said}`, { details });
  }
}

/** Whether the unpacker was killed from outside: another attempt may well succeed. */
export function wasKilled(error: unknown): boolean {
  return isBerthError(error, 'UNAVAILABLE') && error.details['signal'] === sigKill;
}

interface ChildFds {
  readonly errors: number;
  readonly result: number;
  readonly destination: number;
}

function spawn(options: UnpackOptions, { errors, result, destination }: ChildFds): { pid: number; pidfd: number } {
  const { input, expectCompressed, expectDiffId, maxBytes, binary } = options;
  const { range } = input;
  const argv = [
    'berth-unpack',
    ...(range ? [`--offset=${range.offset}`, `--length=${range.length}`] : []),
    ...(expectCompressed === undefined ? [] : [`--expect-compressed=${expectCompressed}`]),
    ...(expectDiffId === undefined ? [] : [`--expect-diff-id=${expectDiffId}`]),
    ...(maxBytes === undefined ? [] : [`--max-bytes=${maxBytes}`]),
  ];
  try {
    const fds = [input.fd, null, errors, result, destination];
    return options.addon.spawn({ path: binary, argv, env: ['MALLOC_ARENA_MAX=1'], fds });
  } catch (error) {
    throw toBerthError(error, `start ${binary}`);
  }
}

type Line = Readonly<Record<string, unknown>>;

/** Reads lines until the pipe ends; gives the last one that is a result. */
async function readResult(
  fd: number,
  onProgress: ((bytes: number) => void) | undefined,
  kill: () => void,
): Promise<Line | undefined> {
  const socket = new Socket({ fd, readable: true, writable: false });
  let pending: Buffer[] = [];
  let size = 0;
  let last: Line | undefined;
  try {
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      let rest = chunk;
      for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
        const line = JSON.parse(Buffer.concat([...pending, rest.subarray(0, end)]).toString('latin1')) as Line;
        pending = [];
        size = 0;
        rest = rest.subarray(end + 1);
        if (typeof line['progress'] === 'number') onProgress?.(line['progress']);
        else last = line;
      }
      pending.push(rest);
      size += rest.length;
      if (size > maxOutput) throw new BerthError('IMAGE_INVALID', `a result of more than ${maxOutput} bytes`);
    }
    return last;
  } catch (error) {
    // Nobody reads any more: it must not wait for us for ever.
    kill();
    throw error;
  } finally {
    socket.destroy();
  }
}

/** The end of what it wrote, in one line. */
async function readLastWords(fd: number): Promise<string> {
  const socket = new Socket({ fd, readable: true, writable: false });
  let kept = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>)
    kept = Buffer.concat([kept, chunk]).subarray(-maxLastWords);
  return kept
    .toString('utf8')
    .trim()
    .replace(/[\s\p{Cc}]+/gu, ' ');
}

/** The unpacker has read hostile bytes, so what it says is checked as well. */
function resultOf(line: Line, what: string): UnpackResult {
  if (line['ok'] !== true) {
    const code = codes[String(line['code'])] ?? 'INTERNAL';
    const entry =
      typeof line['entry'] === 'string' && line['entry'] !== '' ? ` at ${JSON.stringify(line['entry'])}` : '';
    const advice = line['limit'] === 'max-bytes' ? ': raise images.max_layer_gib, if it is meant' : '';
    throw new BerthError(code, `unpack ${what}${entry}: ${String(line['message'])}${advice}`, {
      details: { step: 'unpack', errno: Number(line['errno']) || 0 },
    });
  }
  const { compressed, diffId, bytes, inodes, ignored, implied, opaque } = line;
  if (
    !isDigestText(compressed) ||
    !isDigestText(diffId) ||
    !isCount(bytes) ||
    !isCount(inodes) ||
    !isCount(ignored) ||
    !isTexts(implied) ||
    !isTexts(opaque)
  ) {
    throw new BerthError('INTERNAL', `unpacker of ${what} gave a result that cannot be`);
  }
  return { compressed, diffId, bytes, inodes, ignored, implied, opaque };
}

function isDigestText(value: unknown): value is string {
  return typeof value === 'string' && isDigest(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
