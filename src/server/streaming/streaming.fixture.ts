import { createMetrics, type Metrics } from '#base/metrics';
import { systemClock, type Clock } from '#base/clock';
import { FakeNode, runningContainer, type TestSandboxes } from '#sandbox/sandboxes.fixture';
import { recordingLog, type LogLine } from '../cri-server.fixture.ts';
import type { StreamOffer } from './offers.ts';
import { StreamingServer, type StreamingServerOptions } from './streaming-server.ts';

type Config = StreamingServerOptions['config'];
type Choice = Partial<Record<'stdin' | 'stdout' | 'stderr' | 'tty', boolean>>;

/** A streaming server over sandboxes without a kernel, with one pod and one running container. */
export interface TestStreaming extends AsyncDisposable {
  readonly it: TestSandboxes;
  readonly server: StreamingServer;
  readonly podId: string;
  readonly containerId: string;
  readonly metrics: Metrics;
  readonly lines: readonly LogLine[];
  exec(choice?: Choice, command?: readonly string[]): string;
  attach(choice?: Choice): string;
  portForward(...ports: readonly number[]): string;
  url(offer: StreamOffer): string;
}

export interface TestStreamingOptions {
  readonly config?: Partial<Config>;
  readonly clock?: Clock;
}

export async function startStreaming(options: TestStreamingOptions = {}): Promise<TestStreaming> {
  const it = await new FakeNode().start();
  const { podId, id: containerId } = await runningContainer(it);
  const lines: LogLine[] = [];
  const metrics = createMetrics();
  const server = await StreamingServer.start({
    config: {
      address: { host: '127.0.0.1', port: 0 },
      tls: undefined,
      tokenTtlMs: 60_000,
      handshakeTimeoutMs: 30_000,
      idleTimeoutMs: 3_600_000,
      maxConnections: 2000,
      ...options.config,
    },
    conversations: it.sandboxes,
    log: recordingLog(lines),
    metrics,
    clock: options.clock ?? systemClock,
  });
  const none = { stdin: false, stdout: false, stderr: false, tty: false };
  const url = (offer: StreamOffer): string => server.urlOf(offer);
  return {
    ...{ it, server, podId, containerId, metrics, lines, url },
    exec: (choice = { stdout: true, stderr: true }, command = ['cmd']) =>
      url({ kind: 'exec', request: { ...none, ...choice, containerId, command } }),
    attach: (choice = { stdout: true, stderr: true }) =>
      url({ kind: 'attach', request: { ...none, ...choice, containerId } }),
    portForward: (...ports) => url({ kind: 'portforward', request: { podId, ports } }),
    [Symbol.asyncDispose]: async () => {
      await server.close(500);
      await it.sandboxes[Symbol.asyncDispose]();
    },
  };
}

/** Waits until something is so, for up to ten seconds. */
export async function until(condition: () => boolean, what = 'it'): Promise<void> {
  for (const since = performance.now(); !condition();) {
    if (performance.now() - since > 10_000) throw new Error(`${what} never came true`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
