import type { Readable, Writable } from 'node:stream';
import { Deadline, raceSignal } from '#base/deadline';
import { isBerthError, messageOf } from '#base/errors';
import type { AttachRequest } from '#sandbox/attach';
import type { ExecRequest } from '#sandbox/exec';
import type { Conversations } from './offers.ts';
import type { Failure, Outcome } from './outcome.ts';
import { OutputPump } from './output-pump.ts';
import type { Session } from './sessions.ts';
import { TerminalSizes, type TerminalSize } from './terminal-sizes.ts';

/** The streams of one client, whatever carries them. What was not asked for is undefined. */
export interface CommandClient {
  readonly stdin: Readable | undefined;
  readonly stdout: Writable | undefined;
  readonly stderr: Writable | undefined;
  readonly resize: Readable | undefined;
  /** Resolves, with a reason for the log, when the client has left or broke the protocol. */
  readonly gone: Promise<string>;
  /** Sends how it ended after the output, and closes the connection. Resolves when the client has it or has left. */
  finish(outcome: Outcome): Promise<void>;
}

/** A process with its streams, whether it was made for this client or not. */
interface Running extends AsyncDisposable {
  readonly streams: {
    readonly stdin: Writable | undefined;
    readonly stdout: Readable | undefined;
    readonly stderr: Readable | undefined;
  };
  readonly ended: Promise<Outcome>;
  resize(size: TerminalSize): Promise<void>;
}

/** For the command to be started, or the container's streams to be joined. */
const startTimeoutMs = 60_000;
/** For the size of the client's terminal; not every client sends one. */
const sizePatienceMs = 200;
/** After the end of the process. */
const quietMs = 500;
/** For the last word to a client whose session is to end. */
const farewellMs = 2_000;

export async function runExec(
  conversations: Conversations,
  session: Session,
  client: CommandClient,
  request: ExecRequest,
): Promise<void> {
  await run(session, client, async (sizes) => {
    using deadline = new Deadline(startTimeoutMs, 'starting the command', session.signal);
    const size = request.tty ? await sizes.first(sizePatienceMs) : undefined;
    const exec = await conversations.exec(session.ctx.detach(deadline.signal), request, size);
    return { ...handleOf(exec), ended: exec.exited };
  });
}

export async function runAttach(
  conversations: Conversations,
  session: Session,
  client: CommandClient,
  request: AttachRequest,
): Promise<void> {
  await run(session, client, async () => {
    using deadline = new Deadline(startTimeoutMs, 'attaching', session.signal);
    const attachment = await conversations.attach(session.ctx.detach(deadline.signal), request);
    const ended = attachment.ended.then(({ slow }): Outcome => {
      return slow ? { failure: 'this client did not read fast enough and was cut off' } : { exitCode: 0 };
    });
    return { ...handleOf(attachment), ended };
  });
}

function handleOf(running: Omit<Running, 'ended'>): Omit<Running, 'ended'> {
  return {
    streams: running.streams,
    resize: (size) => running.resize(size),
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}

/** Starts it, carries its streams to their end, and tells the client how it ended. A failure is the client's to know. */
async function run(
  session: Session,
  client: CommandClient,
  start: (sizes: TerminalSizes) => Promise<Running>,
): Promise<void> {
  const outcome = await attempt(session, client, start);
  if (outcome === undefined) return;
  session.note('failure' in outcome ? { end: outcome.failure } : { end: 'exit', exitCode: outcome.exitCode });
  await farewell(session, client, outcome);
}

/** Tells the client how it ended. One that does not read is not waited for once its session is to end. */
async function farewell(session: Session, client: CommandClient, outcome: Outcome): Promise<void> {
  const { signal } = session;
  const late = Promise.withResolvers<void>();
  let timer: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    timer = setTimeout(late.resolve, farewellMs);
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  try {
    await Promise.race([client.finish(outcome), client.gone, late.promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

/** Undefined: there is nobody left to tell. */
async function attempt(
  session: Session,
  client: CommandClient,
  start: (sizes: TerminalSizes) => Promise<Running>,
): Promise<Outcome | undefined> {
  const sizes = new TerminalSizes(client.resize);
  try {
    await using running = await start(sizes);
    return await carry(session, client, sizes, running);
  } catch (error) {
    return failureOf(error);
  }
}

function failureOf(error: unknown): Failure {
  const shellCode = isBerthError(error, 'START_ERROR') ? error.details['exitCode'] : undefined;
  return { failure: messageOf(error), ...(typeof shellCode === 'number' ? { shellCode } : {}) };
}

async function carry(
  session: Session,
  client: CommandClient,
  sizes: TerminalSizes,
  running: Running,
): Promise<Outcome | undefined> {
  const { streams } = running;
  feed(client.stdin, streams.stdin);
  sizes.follow((size) => running.resize(size));
  const pumps = [pump(streams.stdout, client.stdout), pump(streams.stderr, client.stderr)];
  const ended = (async () => {
    const outcome = await running.ended;
    await Promise.all(pumps.map(async (one) => one?.drain(quietMs)));
    return outcome;
  })();
  // Nobody may be left to hear of it.
  ended.catch(() => undefined);
  const left = client.gone.then((reason) => ({ gone: reason }));
  const result = await raceSignal(Promise.race([ended, left]), session.signal);
  if (!('gone' in result)) return result;
  session.note({ end: result.gone });
  return undefined;
}

/** What the process does not read any more is read and dropped: the client's other streams share its connection. */
function feed(from: Readable | undefined, to: Writable | undefined): void {
  if (from === undefined) return;
  from.on('error', () => undefined);
  if (to === undefined) {
    from.resume();
    return;
  }
  // A stream that was reset ends as well, for the process. After its own end this changes nothing.
  from.once('close', () => to.end());
  const drop = (): void => {
    from.unpipe(to);
    from.resume();
  };
  to.on('error', drop);
  to.once('close', drop);
  from.pipe(to);
}

function pump(from: Readable | undefined, to: Writable | undefined): OutputPump | undefined {
  if (from && to) return new OutputPump(from, to);
  from?.resume();
  to?.end();
  return undefined;
}
