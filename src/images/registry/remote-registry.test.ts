import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { BerthError } from '#base/errors';
import { loadAddon } from '#linux/load';
import { ownPipe } from '#linux/own-fd';
import { digestOf } from '../config.ts';
import { hostPlatform } from '../platform.ts';
import { parseReference } from '../reference.ts';
import { registryConfig } from './registry-config.fixture.ts';
import { RegistryDouble } from './registry-double.fixture.ts';
import { readAll, registryContract } from './registry.contract.ts';
import type { RemoteImage } from './registry.ts';
import { RemoteRegistry } from './remote-registry.ts';
import { WorkerLink } from './worker-link.ts';

// A thread is started from source here, which takes its time on a busy machine.
jest.setTimeout(60_000);

describe('all over one worker', () => {
  const registry = new RemoteRegistry({ config: registryConfig() });
  afterAll(() => registry.close());

  registryContract('remote', async () => {
    const double = await RegistryDouble.start();
    registry.reconfigure(registryConfig({ plainHttp: [double.host] }));
    return {
      registry,
      domain: double.host,
      add: (image) => double.add(image),
      cleanUp: () => double[Symbol.asyncDispose](),
    };
  });
});

describe('the worker', () => {
  const addon = loadAddon();
  const bytes = randomBytes(2 * 1024 * 1024);
  const blob = { digest: digestOf(bytes), size: bytes.length, mediaType: '' };
  let double: RegistryDouble;
  let registry: RemoteRegistry;
  let links: WorkerLink[];
  let ends: Promise<BerthError>[];

  beforeEach(async () => {
    links = [];
    ends = [];
    double = await RegistryDouble.start();
    double.add({ names: ['x.test/team/app:1'], layers: [bytes] });
  });
  afterEach(async () => {
    await registry.close();
    await double[Symbol.asyncDispose]();
  });

  const open = (idleMs?: number): void => {
    registry = new RemoteRegistry({
      config: registryConfig({ plainHttp: [double.host] }),
      ...(idleMs !== undefined && { idleMs }),
      startWorker: ({ onMessage, onEnd }) => {
        let link: WorkerLink | undefined;
        ends.push(
          new Promise((resolve) => {
            link = new WorkerLink({
              onMessage,
              onEnd: (error) => {
                onEnd(error);
                resolve(error);
              },
            });
            links.push(link);
          }),
        );
        return link!;
      },
    });
  };
  const resolve = (ctx = createCtx()): Promise<RemoteImage> =>
    registry.resolve(ctx, {
      reference: parseReference(`${double.host}/team/app:1`),
      platform: hostPlatform(),
    });

  it('starts with the first call, ends when there is nothing to do, and comes back', async () => {
    open(1);
    expect(links.length).toBe(0);
    for (let round = 1; round <= 2; round += 1) {
      await resolve();
      expect(links.length).toBe(round);
      await ends[round - 1];
    }
  });

  it('serves many calls at once, and stays for the next', async () => {
    open();
    await Promise.all(Array.from({ length: 20 }, () => resolve()));
    await resolve();
    expect(links.length).toBe(1);
  });

  it('fails its calls when it dies, closes their pipes, and gives way to another', async () => {
    open();
    const image = await resolve();
    const asked = new Promise<void>((done) => double.trick(/blobs/, () => done(), 1));
    const { read, write } = ownPipe(addon);
    const fetching = registry.fetchBlob(createCtx(), image, blob, write);
    await asked;
    await links[0]!.end();
    await expect(fetching).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('try again'),
    });
    expect(write.open).toBe(false);
    expect((await readAll(read)).length).toBe(0);
    // What was resolved before is still good: nothing of it was in the worker alone.
    const again = ownPipe(addon);
    const all = readAll(again.read);
    await registry.fetchBlob(createCtx(), image, blob, again.write);
    expect((await all).equals(bytes)).toBe(true);
    expect(links.length).toBe(2);
  });

  it('takes the configuration that holds at the time of the call', async () => {
    open();
    const image = await resolve();
    registry.reconfigure(registryConfig({ registriesConf: '/nonexistent/registries.conf', attempts: 1 }));
    const session = image.session as { config: { plainHttp: string[] } };
    expect(session.config.plainHttp).toEqual([double.host]);
    expect((await resolve()).session).toMatchObject({ config: { plainHttp: [] } });
  });

  it('is told at once when a caller leaves', async () => {
    open();
    const gone = new Promise<void>((done) => {
      double.trick(/manifests/, (_request, response) => {
        response.on('close', done);
        stop.abort(new BerthError('CANCELLED', 'no longer wanted'));
      });
    });
    const stop = new AbortController();
    await expect(resolve(createCtx({ signal: stop.signal }))).rejects.toThrow('no longer wanted');
    // The connection is closed: it has not been left to run.
    await gone;
  });

  it('tells the log when something had to be tried again', async () => {
    open();
    double.trick(/manifests/, (_request, response) => response.socket?.destroy(), 1);
    const lines: string[] = [];
    const log = { ...createCtx().log, info: (_fields: object, message: string) => lines.push(message) };
    await resolve(createCtx({ log }));
    expect(lines).toEqual(['trying again']);
  });

  it('warns of an unknown key once for what the file says, though each worker reads it anew', async () => {
    open(1);
    const root = await mkdtemp(path.join(os.tmpdir(), 'berth-registry-'));
    try {
      const file = path.join(root, double.host, 'hosts.toml');
      await mkdir(path.dirname(file));
      await writeFile(file, `server = "http://${double.host}"\nskip_verfy = true\n`);
      registry.reconfigure(registryConfig({ hostsDirectories: [root] }));
      const lines: string[] = [];
      const log = { ...createCtx().log, warn: (_fields: object, message: string) => lines.push(message) };
      const round = async (): Promise<void> => {
        await resolve(createCtx({ log }));
        await ends.at(-1);
      };
      await round();
      await round();
      const keys = 'unknown keys are passed over: skip_verfy: did you mean skip_verify?';
      expect(lines).toEqual([`${file}: ${keys}`]);
      await writeFile(file, `server = "http://${double.host}"\nskip_verfy = true\nnonsense = 1\n`);
      await round();
      expect(lines.slice(1)).toEqual([`${file}: ${keys}; nonsense`]);
    } finally {
      await rm(root, { recursive: true });
    }
  });

  it('takes no calls after the end', async () => {
    open();
    await resolve();
    await registry.close();
    await expect(resolve()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});
