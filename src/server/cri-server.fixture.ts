import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll } from '@jest/globals';
import { systemClock, type Clock } from '#base/clock';
import type { LogFields, Logger } from '#base/log';
import { createMetrics, type Metrics } from '#base/metrics';
import { connectCri, type CriClient } from '#cri-api/client';
import type { ImageStore } from '#images/image-store';
import { bindService } from './bind-service.ts';
import { loadCriProto } from './cri-proto.ts';
import { CriServer, type CriServerOptions } from './cri-server.ts';
import { CallHandler } from './handle-call.ts';
import { imageService } from './image-service/image-service.ts';
import { imageStoreOf } from './images.fixture.ts';
import { ReadyGate } from './ready-gate.ts';
import { connectionMetrics } from './served-connections.ts';

export interface LogLine extends LogFields {
  readonly level: string;
  readonly message: string;
}

/** Keeps what is logged. */
export function recordingLog(lines: LogLine[], fields: LogFields = {}): Logger {
  const at = (level: string) => (more: LogFields, message: string) =>
    void lines.push({ ...fields, ...more, level, message });
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (more) => recordingLog(lines, { ...fields, ...more }),
  };
}

/** A server with the image service on a socket in a directory of its own, and a client of it. */
export interface TestServer extends AsyncDisposable {
  readonly socket: string;
  readonly client: CriClient;
  readonly server: CriServer;
  readonly calls: CallHandler;
  readonly gate: ReadyGate;
  readonly metrics: Metrics;
  readonly lines: LogLine[];
}

export interface TestServerOptions {
  readonly images?: ImageStore;
  readonly ready?: boolean;
  readonly allowPeer?: CriServerOptions['allowPeer'];
  readonly config?: Partial<CriServerOptions['config']>;
  readonly waiting?: CriServerOptions['waiting'];
  /** Of the server itself, not of its calls. */
  readonly clock?: Clock;
}

const scratch: string[] = [];

afterAll(() => {
  for (const directory of scratch) rmSync(directory, { recursive: true, force: true });
});

/** Gone when the test file has ended. */
export function scratchDirectory(): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'berth-server-'));
  scratch.push(directory);
  return directory;
}

export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const socket = path.join(scratchDirectory(), 'run/berth.sock');
  const lines: LogLine[] = [];
  const log = recordingLog(lines);
  const metrics = createMetrics();
  const gate = new ReadyGate();
  if (options.ready !== false) gate.open();
  const calls = new CallHandler({ gate, log, metrics, clock: systemClock, fullDisks: () => '' });
  const deps = {
    ...{ images: options.images ?? imageStoreOf([]), clock: systemClock, runtimeHandlers: ['', 'berth'] },
    writableLayers: () => ({ bytes: 2n ** 60n, inodes: 5n }),
  };
  const server = await CriServer.start({
    socket,
    services: [bindService(loadCriProto().ImageService.service, imageService, deps, calls)],
    allowPeer: options.allowPeer ?? (() => true),
    config: { maxConnections: 4096, idleTimeoutMs: 3_600_000, ...options.config },
    ...(options.waiting ? { waiting: options.waiting } : {}),
    log,
    clock: options.clock ?? systemClock,
    connectionMetrics: connectionMetrics(metrics),
  });
  const client = connectCri(socket);
  return {
    socket,
    client,
    server,
    calls,
    gate,
    metrics,
    lines,
    [Symbol.asyncDispose]: async () => {
      client.close();
      await server.close(100);
    },
  };
}
