import { connect } from 'node:tls';
import { WebSocket } from 'ws';
import type { NodeSockets } from '../harness/node-sockets.ts';
import { within } from '../harness/wait.ts';

export interface StreamOutcome {
  readonly stdout: string;
  readonly stderr: string;
  /** Of the process; undefined when the stream ended without its status (attach). */
  readonly exitCode: number | undefined;
}

/** Channels of remote commands over WebSockets; each message begins with its number. */
const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3 } as const;

/** The kubelet's exec or attach, as an API server would ask for it: the kubelet hands the stream on to the runtime. */
export async function kubeletStream(sockets: NodeSockets, url: string, input?: string): Promise<StreamOutcome> {
  const connection = await sockets.connect(10_250);
  const secure = connect({ socket: connection, rejectUnauthorized: false });
  const client = new WebSocket(`ws://kubelet${url}`, ['v4.channel.k8s.io'], { createConnection: () => secure });
  const texts = { [channel.stdout]: '', [channel.stderr]: '', [channel.error]: '' };
  client.on('message', (data: Buffer) => {
    const at = data[0];
    if (at === channel.stdout || at === channel.stderr || at === channel.error)
      texts[at] += data.subarray(1).toString();
  });
  client.once('open', () => {
    if (input !== undefined) client.send(Buffer.from(`\0${input}`));
  });
  const closed = new Promise<void>((resolve, reject) => {
    client.once('close', () => resolve());
    client.once('error', reject);
  });
  await within(`${url} ends`, 20_000, closed);
  return { stdout: texts[channel.stdout], stderr: texts[channel.stderr], exitCode: exitCodeOf(texts[channel.error]) };
}

function exitCodeOf(status: string): number | undefined {
  if (status === '') return undefined;
  const { status: word, details } = JSON.parse(status) as {
    readonly status: string;
    readonly details?: { readonly causes?: readonly { readonly reason: string; readonly message: string }[] };
  };
  if (word === 'Success') return 0;
  const cause = details?.causes?.find(({ reason }) => reason === 'ExitCode');
  if (!cause) throw new Error(`a status without an exit code: ${status}`);
  return Number(cause.message);
}
