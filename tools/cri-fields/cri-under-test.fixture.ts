import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type * as grpc from '@grpc/grpc-js';
import { systemClock } from '#base/clock';
import { createCtx } from '#base/ctx';
import { silentLogger } from '#base/log';
import { connectCri, type CriClient } from '#cri-api/client';
import type { ContainerConfig } from '#cri-api/gen/runtime/v1/ContainerConfig';
import type { PodSandboxConfig } from '#cri-api/gen/runtime/v1/PodSandboxConfig';
import type { ExecInput } from '#runtime/runtime';
import { FakeNode, type TestSandboxes } from '#sandbox/sandboxes.fixture';
import { bindService } from '#server/bind-service';
import { loadCriProto } from '#server/cri-proto';
import { CriServer } from '#server/cri-server';
import { CallHandler } from '#server/handle-call';
import { imageService } from '#server/image-service/image-service';
import { ReadyGate } from '#server/ready-gate';
import { runtimeService } from '#server/runtime-service/runtime-service';
import { connectionMetrics } from '#server/served-connections';
import type { StreamOffer } from '#server/streaming/offers';
import type { RequestField } from './request-fields.ts';
import { withoutField } from './requests.ts';

type Calls = Record<string, (request: object) => Promise<object>>;
type Streams = Record<string, (request: object) => grpc.ClientReadableStream<object>>;

const lowerFirst = (name: string): string => name.charAt(0).toLowerCase() + name.slice(1);

/**
 * Both services with real sandboxes on a unix socket; below them a runtime, network and images without a kernel. One field
 * can be taken away from what arrives, between the decoder and everything else.
 */
export class CriUnderTest implements AsyncDisposable {
  readonly sandboxes: TestSandboxes;
  readonly client: CriClient;
  /** What Exec, Attach and PortForward made of their requests. */
  readonly offers: StreamOffer[] = [];
  /** What ExecSync asked of the runtime. */
  readonly execs: ExecInput[] = [];
  /** A directory for a test's files. */
  readonly directory: string;
  dropped: RequestField | undefined;
  readonly #server: CriServer;
  #names = 0;

  private constructor(sandboxes: TestSandboxes, directory: string, server: CriServer, client: CriClient) {
    this.sandboxes = sandboxes;
    this.directory = directory;
    this.#server = server;
    this.client = client;
  }

  static async start(): Promise<CriUnderTest> {
    const directory = mkdtempSync(path.join(tmpdir(), 'berth-fields-'));
    const node = new FakeNode();
    const sandboxes = await node.start();
    const { runtime } = sandboxes;
    runtime.features = { ...runtime.features, userNamespaces: true, apparmor: true, selinux: true };
    const gate = new ReadyGate();
    gate.open();
    const calls = new CallHandler({
      ...{ gate, log: silentLogger, metrics: sandboxes.metrics, clock: systemClock },
      fullDisks: () => '',
    });
    const forRuntime = {
      ...{ sandboxes: sandboxes.sandboxes, images: node.images, gate, clock: systemClock, features: runtime.features },
      ...{ version: '1.2.3', bootId: 'boot-1', runtimeHandlers: ['', 'berth'], config: () => ({}) },
      networkStatus: () => node.network.status(),
      streams: {
        urlOf: (offer: StreamOffer): string => {
          cri.offers.push(offer);
          return `http://127.0.0.1:1/${offer.kind}`;
        },
      },
    };
    const forImages = {
      ...{ images: node.images, clock: systemClock, runtimeHandlers: ['', 'berth'] },
      writableLayers: () => sandboxes.sandboxes.stats.writableLayers(),
    };
    const proto = loadCriProto();
    const dropping = (definition: grpc.ServiceDefinition): grpc.ServiceDefinition =>
      withDecoders(definition, (call, request) =>
        cri.dropped?.call === call ? withoutField(request, cri.dropped) : request,
      );
    const socket = path.join(directory, 'run/berth.sock');
    const server = await CriServer.start({
      socket,
      services: [
        bindService(dropping(proto.RuntimeService.service), runtimeService, forRuntime, calls),
        bindService(dropping(proto.ImageService.service), imageService, forImages, calls),
      ],
      allowPeer: () => true,
      ...{ log: silentLogger, clock: systemClock, connectionMetrics: connectionMetrics(sandboxes.metrics) },
      config: { maxConnections: 16, idleTimeoutMs: 60_000 },
    });
    const cri = new CriUnderTest(sandboxes, directory, server, connectCri(socket));
    const execSync = runtime.execSync.bind(runtime);
    runtime.execSync = (ctx, podId, id, exec) => {
      cri.execs.push(exec);
      return execSync(ctx, podId, id, exec);
    };
    return cri;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    await this.#server.close(100);
    await this.sandboxes.sandboxes[Symbol.asyncDispose]();
    rmSync(this.directory, { recursive: true });
  }

  /** Removes every pod, so that the next test finds none. */
  async clear(): Promise<void> {
    const { sandboxes } = this.sandboxes;
    await Promise.all(sandboxes.listPods().map(({ id }) => sandboxes.removePod(createCtx(), id)));
  }

  /** Nobody else has it. */
  name(): string {
    this.#names += 1;
    return `n${this.#names}`;
  }

  /** The answer to a call, by its name in the protocol; of a stream everything together. */
  async call(name: string, request: object): Promise<object> {
    const isImages = name in imageService;
    const unary = (isImages ? this.client.images : this.client.runtime) as unknown as Calls;
    const raw = (isImages ? this.client.rawImages : this.client.rawRuntime) as unknown as Streams;
    const method = lowerFirst(name);
    if (!name.startsWith('Stream')) return unary[method]?.(request) ?? {};
    const all: unknown[] = [];
    for await (const message of raw[method]?.(request) ?? []) all.push(...(Object.values(message as object)[0] as []));
    return { all };
  }

  /** The entries that a List or Stream call tells of. */
  async list(name: string, filter: object): Promise<readonly string[]> {
    const [entries = []] = Object.values(await this.call(name, { filter })) as {
      id?: string;
      attributes?: { id: string };
    }[][];
    return entries.map((entry) => entry.attributes?.id ?? entry.id ?? '').toSorted();
  }

  /** Runs a pod that nobody else knows. @returns its id */
  async runPod(config: PodSandboxConfig = {}, runtimeHandler = ''): Promise<string> {
    const metadata = { name: this.name(), uid: 'u', namespace: 'default', attempt: 0 };
    const request = { config: { metadata, ...config }, runtime_handler: runtimeHandler };
    return (await this.client.runtime.runPodSandbox(request)).pod_sandbox_id;
  }

  /** Makes a container, in a pod of its own or in that one. @returns its id */
  async createContainer(config: ContainerConfig = {}, pod?: string): Promise<string> {
    const podId = pod ?? (await this.runPod());
    const request = {
      pod_sandbox_id: podId,
      config: { metadata: { name: this.name() }, image: { image: 'localhost/busybox:latest' }, ...config },
    };
    return (await this.client.runtime.createContainer(request)).container_id;
  }

  /** As createContainer, and starts it. */
  async startContainer(config: ContainerConfig = {}, pod?: string): Promise<string> {
    const id = await this.createContainer(config, pod);
    await this.client.runtime.startContainer({ container_id: id });
    return id;
  }
}

/** A service whose requests are changed after they were decoded. */
function withDecoders(
  definition: grpc.ServiceDefinition,
  change: (call: string, request: object) => object,
): grpc.ServiceDefinition {
  return Object.fromEntries(
    Object.entries(definition).map(([name, method]) => {
      const requestDeserialize = (bytes: Buffer): object => change(name, method.requestDeserialize(bytes) as object);
      return [name, { ...method, requestDeserialize }];
    }),
  );
}
