import { spawn, type ChildProcess } from 'node:child_process';
import type { TestPod } from './pods.ts';
import { within } from './wait.ts';

// Answers "NAME PEER" on TCP and UDP, of both families.
const server = `
  const [name, port] = process.argv.slice(1);
  const plain = (address) => address.replace(/^::ffff:/, '');
  const udp = require('node:dgram').createSocket('udp6');
  udp.on('message', (_data, peer) => udp.send(name + ' ' + plain(peer.address), peer.port, peer.address));
  const tcp = require('node:net').createServer((socket) => {
    socket.on('error', () => undefined).end(name + ' ' + plain(socket.remoteAddress));
  });
  udp.bind(Number(port), '::', () => tcp.listen(Number(port), '::', () => console.log('listening')));
`;

/** A server in a pod's network, or in any other, beside the pod's containers: busybox has none for datagrams. */
export class PortServer implements AsyncDisposable {
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  static async inPod(pod: TestPod, name: string, port: number): Promise<PortServer> {
    return PortServer.start(['nsenter', '-t', String(await pausePidOf(pod)), '-n', '--'], name, port);
  }

  static async start(enter: readonly string[], name: string, port: number): Promise<PortServer> {
    const [file, ...args] = [...enter, process.execPath, '-e', server, name, String(port)];
    const child = spawn(file ?? '', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const listening = new Promise<void>((resolve, reject) => {
      child.stdout.once('data', () => resolve());
      child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)));
    });
    await within('the server listens', 10_000, listening);
    return new PortServer(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGKILL');
    await ended;
  }
}

/** Its network namespace is the pod's. */
export async function pausePidOf(pod: TestPod): Promise<number> {
  const { info } = await pod.berthd.cri.runtime.podSandboxStatus({ pod_sandbox_id: pod.id, verbose: true });
  const { pid } = JSON.parse(info['info'] ?? '{}') as { pid?: number };
  if (pid === undefined || pid === 0) throw new Error(`inspectp names no process: ${JSON.stringify(info)}`);
  return pid;
}
