import { WebSocket } from 'ws';
import { connectCri } from '#cri-api/client';

// Opens execs with streams and leaves them open; at each of the counts a probe (ExecSync) must work. The one after the last
// count is refused: prints with what words, and whether a probe works even then.
// Usage: many-streams.ts SOCKET CONTAINER COUNT...

const [socket = '', container = '', ...counts] = process.argv.slice(2);
const cri = connectCri(socket);
const clients: WebSocket[] = [];
const errorChannel = 3;

/** Empty when it runs: it has printed; else the Status on the error channel. */
async function open(): Promise<string> {
  const cmd = ['sh', '-c', 'echo here; exec sleep 100000'];
  const { url } = await cri.runtime.exec({ container_id: container, cmd, stdout: true });
  const client = new WebSocket(url.replace(/^http/, 'ws'), 'v5.channel.k8s.io');
  clients.push(client);
  return new Promise((resolve, reject) => {
    client.once('error', reject);
    client.on('message', (message: Buffer) => {
      if (message[0] === errorChannel) resolve(message.subarray(1).toString());
      else if (message.includes('here')) resolve('');
    });
  });
}

async function probe(): Promise<number | string> {
  try {
    const { exit_code: code } = await cri.runtime.execSync({ container_id: container, cmd: ['true'], timeout: '30' });
    return code;
  } catch (error) {
    return String(error);
  }
}

const probes: (number | string)[] = [];
for (const count of counts.map(Number)) {
  while (clients.length < count) {
    const refusal = await open();
    if (refusal !== '') throw new Error(`stream ${clients.length}: ${refusal}`);
  }
  probes.push(await probe());
}
const refusal = await open();
process.stdout.write(JSON.stringify({ probes, refusal, last: await probe() }));
for (const client of clients) client.terminate();
cri.close();
