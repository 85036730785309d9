import { WebSocket } from 'ws';
import { connectCri, type CriClient } from '#cri-api/client';

// Many execs over WebSockets: first those that end by themselves, then those whose client breaks off.
// Usage: stream-load.ts SOCKET CONTAINER COUNT

const [socket = '', container = '', count = ''] = process.argv.slice(2);
const atATime = 8;

async function open(cri: CriClient, cmd: string[], stdin: boolean): Promise<WebSocket> {
  const { url } = await cri.runtime.exec({ container_id: container, cmd, stdout: true, stdin });
  return new WebSocket(url.replace(/^http/, 'ws'), 'v5.channel.k8s.io');
}

const closed = (client: WebSocket): Promise<number> => new Promise((resolve) => client.once('close', resolve));

async function toItsEnd(cri: CriClient): Promise<boolean> {
  const client = await open(cri, ['echo', 'out'], false);
  const heard: Buffer[] = [];
  client.on('message', (message: Buffer) => void heard.push(message));
  const code = await closed(client);
  const said = Buffer.concat(heard).toString();
  return code === 1000 && said.includes('out\n') && said.includes('"Success"');
}

/** At a moment that differs from one to the next. */
async function brokenOff(cri: CriClient, index: number): Promise<boolean> {
  const client = await open(cri, ['cat'], true);
  client.on('error', () => undefined);
  if (index % 3 > 0) await new Promise((resolve) => client.once('open', resolve));
  if (index % 3 > 1) {
    client.send(Buffer.from('\0hello'));
    await new Promise<void>((resolve) => {
      client.on('message', (message: Buffer) => {
        if (message.includes('hello')) resolve();
      });
    });
  }
  client.terminate();
  return true;
}

async function many(run: (index: number) => Promise<boolean>): Promise<number> {
  let next = 0;
  let good = 0;
  const worker = async (): Promise<void> => {
    while (next < Number(count)) if (await run(next++)) good += 1;
  };
  await Promise.all(Array.from({ length: atATime }, worker));
  return good;
}

const cri = connectCri(socket);
const ended = await many(() => toItsEnd(cri));
const broken = await many((index) => brokenOff(cri, index));
process.stdout.write(JSON.stringify({ ended, broken }));
cri.close();
