import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createCtx } from '#base/ctx';
import { randomIds } from '#base/ids';
import { createMetrics } from '#base/metrics';
import type { CniConfig } from '#config/slices';
import { FakeCollection } from '#store/collection.fake';
import { NetworkTimer } from '../network-timer.ts';
import { networkRequest } from '../network-request.fixture.ts';
import type { NetworkRequest, PodNetworkRecord } from '../pod-network.ts';
import type { AttachmentRecord } from './attachments.ts';
import { CniNetwork, type CniNetworkOptions } from './cni-network.ts';
import { FakePlugins } from './plugins.fake.ts';
import { unknownFieldsMetric } from './unknown-fields.ts';

export const chain = {
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: [
    { type: 'bridge', bridge: 'cni0', ipam: { type: 'host-local' } },
    { type: 'portmap', capabilities: { portMappings: true } },
    { type: 'bandwidth', capabilities: { bandwidth: true } },
  ],
};

const clock = { monotonicMs: () => performance.now() };

/** A CniNetwork on real directories with plugins that are functions, and namespaces that are numbers. */
export class CniBench implements AsyncDisposable {
  readonly ctx = createCtx();
  readonly plugins = new FakePlugins();
  readonly records = new FakeCollection<AttachmentRecord>();
  readonly directory = mkdtempSync(path.join(tmpdir(), 'berth-cni-'));
  readonly config: CniConfig;
  readonly openNamespaces = new Set<number>();
  readonly metrics = createMetrics();
  readonly timer = new NetworkTimer(this.metrics, clock);
  readonly unknownFields = unknownFieldsMetric(this.metrics);
  network: CniNetwork;
  readonly #opened: CniNetwork[] = [];
  #nextFd = 1_000_000;

  constructor(more: Partial<CniNetworkOptions> = {}, conf: object = chain) {
    const place = (name: string): string => path.join(this.directory, name);
    this.config = {
      confDir: place('net.d'),
      binDirs: [place('none'), place('bin')],
      netnsDir: place('netns'),
      timeoutMs: 10_000,
    };
    mkdirSync(this.config.confDir);
    mkdirSync(place('bin'));
    for (const type of ['bridge', 'host-local', 'portmap', 'bandwidth']) this.install(type);
    this.write('10-pods.conflist', conf);
    this.network = this.open(more);
  }

  /** Another one over the same records and directories: what a berthd that starts anew has. */
  open(more: Partial<CniNetworkOptions> = {}): CniNetwork {
    const network = new CniNetwork({
      ...{ ctx: this.ctx, config: this.config, attachments: this.records, timer: this.timer, poolSize: 1 },
      unknownFields: this.unknownFields,
      run: this.plugins.run,
      addon: {
        createNetns: async () => {
          this.openNamespaces.add((this.#nextFd += 1));
          return this.#nextFd;
        },
        close: (fd) => {
          if (!this.openNamespaces.delete(fd)) throw new Error(`closed twice: ${fd}`);
        },
        pidfdOpen: () => {
          throw new Error('no plugin is a process here');
        },
        pidfdSendSignal: () => false,
        bindNetns: async (_fd, file) => writeFileSync(file, '', { flag: 'wx' }),
        detachMount: async (file) => {
          throw Object.assign(new Error(`umount2 ${file}`), { code: existsSync(file) ? 'EINVAL' : 'ENOENT' });
        },
      },
      clock,
      ...more,
    });
    this.#opened.push(network);
    return network;
  }

  write(name: string, conf: object | string): void {
    const text = typeof conf === 'string' ? conf : JSON.stringify(conf);
    writeFileSync(path.join(this.config.confDir, name), text);
  }

  remove(name: string): void {
    unlinkSync(path.join(this.config.confDir, name));
  }

  install(type: string): void {
    const file = path.join(this.directory, 'bin', type);
    writeFileSync(file, '');
    chmodSync(file, 0o755);
  }

  uninstall(type: string): void {
    unlinkSync(path.join(this.directory, 'bin', type));
  }

  async connect(
    podId = randomIds.next(),
    more: Partial<NetworkRequest> = {},
  ): Promise<{ podId: string; record: PodNetworkRecord }> {
    using netns = await this.network.takeNamespace(this.ctx);
    return { podId, record: await this.network.setUp(this.ctx, networkRequest(podId, netns, more)) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#opened.map((network) => network[Symbol.asyncDispose]()));
    rmSync(this.directory, { recursive: true });
    if (this.openNamespaces.size > 0) throw new Error(`namespaces left open: ${[...this.openNamespaces].join()}`);
  }
}
