import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { randomIds } from '#base/ids';
import { isBerthError } from '#base/errors';
import type { CniVersion } from './conf-list.ts';
import { type Plugins, podInterface, type Verb } from './plugins.ts';
import { inFormOf } from './result-forms.ts';
import { checkResult, podAddresses, type CniResult } from './result.ts';

/** The plugins of a machine: `bridge` with `host-local`, and `portmap` to be chained after it. */
export interface PluginsBench {
  readonly plugins: Plugins;
  /** The newest version of the specification that they speak. */
  readonly newest: CniVersion;
  /** What `bridge` needs in its configuration besides the runtime's keys. */
  readonly bridge: object;
  /** A file that is a network namespace; `close` takes it away. */
  netns(): Promise<{ readonly path: string; close(): Promise<void> }>;
  cleanUp(): Promise<void>;
}

interface Pod {
  readonly id: string;
  readonly netns: string;
  close(): Promise<void>;
}

const ctx = createCtx();

/** What Berth relies on of network plugins, whoever wrote them: what they print, refuse, and do when asked twice. */
export function pluginsContract(name: string, open: () => Promise<PluginsBench>): void {
  describe(`${name}: the contract of network plugins`, () => {
    let bench: PluginsBench;
    const pods = new Map<string, Pod>();
    beforeAll(async () => {
      bench = await open();
    });
    afterEach(async () => {
      for (const pod of pods.values()) {
        await call('bridge', 'DEL', pod);
        await pod.close();
      }
      pods.clear();
    });
    afterAll(() => bench.cleanUp());

    const makePod = async (): Promise<Pod> => {
      const { path: netns, close } = await bench.netns();
      const pod = { id: randomIds.next(), netns, close };
      pods.set(pod.id, pod);
      return pod;
    };
    const call = <T = unknown>(
      type: string,
      verb: Verb,
      pod?: Pick<Pod, 'id' | 'netns'>,
      more: object = {},
      read: (printed: unknown) => T = (printed) => printed as T,
    ): Promise<T> => {
      const own = type === 'bridge' ? bench.bridge : {};
      const conf = { ...own, type, name: 'contract', cniVersion: bench.newest, ...more };
      const target = pod && { containerId: pod.id, netns: pod.netns, args: 'IgnoreUnknown=1' };
      return bench.plugins.call(ctx, { type, verb, conf, ...(target && { target }) }, read);
    };
    const read = (printed: unknown): CniResult => checkResult(printed, bench.newest);
    const add = (pod: Pod, more = {}): Promise<CniResult> => call('bridge', 'ADD', pod, more, read);
    /** A failure that the plugin itself has told, with words and a number. */
    const told = (pluginCode: unknown = expect.any(Number)): object => ({
      ...{ code: 'NETWORK_FAILED', details: { pluginCode }, message: expect.stringMatching(/: \S.* \(code \d+\)$/) },
    });

    describe('ADD', () => {
      test('gives the addresses of an interface in the namespace, in the version that was asked for', async () => {
        const pod = await makePod();
        const result = await add(pod);
        expect(result.value['cniVersion']).toBe(bench.newest);
        const inside = result.interfaces.filter(({ sandbox }) => sandbox !== '');
        expect(inside).toEqual([{ name: podInterface, sandbox: pod.netns }]);
        expect(result.interfaces.some(({ sandbox }) => sandbox === '')).toBe(true);
        expect(podAddresses(result, podInterface)).toEqual(result.ips.map(({ address }) => address));
        expect(result.ips.length).toBeGreaterThan(0);
      });

      test('gives no address twice', async () => {
        const results = [await add(await makePod()), await add(await makePod())];
        const addresses = results.flatMap((result) => podAddresses(result, podInterface));
        expect(new Set(addresses).size).toBe(addresses.length);
      });

      test('of a pod that is connected is refused, and it keeps what it has', async () => {
        const pod = await makePod();
        const result = await add(pod);
        await expect(add(pod)).rejects.toMatchObject(told());
        await call('bridge', 'CHECK', pod, { prevResult: result.value });
      });

      test('into a namespace that is not there is refused', async () => {
        const pod = { ...(await makePod()), netns: '/no/such/namespace' };
        await expect(add(pod)).rejects.toMatchObject(told());
      });

      test('of a version that the plugin does not speak is refused with code 1', async () => {
        const cniVersion = bench.newest === '1.1.0' ? '9.9.9' : '1.1.0';
        await expect(add(await makePod(), { cniVersion })).rejects.toMatchObject(told(1));
      });

      test.each(['0.1.0', '0.2.0'])(
        'of version %s gives an address of each family, and hands it on',
        async (cniVersion) => {
          const pod = await makePod();
          const { value, ips } = await add(pod, { cniVersion });
          expect(value).toMatchObject({ cniVersion, ip4: { ip: expect.stringContaining(`${ips[0]?.address}/`) } });
          expect(podAddresses(checkResult(value, bench.newest), podInterface)).toEqual(
            ips.map(({ address }) => address),
          );
          // What comes next in a list reads the form that it is given.
          const prevResult = inFormOf('0.3.1', value);
          const next = await call('portmap', 'ADD', pod, { cniVersion: '0.3.1', prevResult }, read);
          expect(next.ips).toEqual(ips);
          await call('portmap', 'DEL', pod, { cniVersion: '0.3.1', prevResult });
        },
      );

      test('of one that is chained hands on what came before', async () => {
        const pod = await makePod();
        const { value, ips } = await add(pod);
        const next = await call('portmap', 'ADD', pod, { prevResult: value }, read);
        expect(next.ips).toEqual(ips);
        await call('portmap', 'DEL', pod, { prevResult: value });
      });
    });

    describe('DEL', () => {
      test('undoes ADD; can come twice, and needs no namespace', async () => {
        const pod = await makePod();
        const { value } = await add(pod);
        for (const netns of [pod.netns, pod.netns, '']) {
          await call('bridge', 'DEL', { ...pod, netns }, { prevResult: value });
        }
        await add(pod);
      });

      test('undoes it although its result is lost, and its namespace with it', async () => {
        const pod = await makePod();
        await add(pod);
        await pod.close();
        await call('bridge', 'DEL', pod);
        await call('bridge', 'DEL', { ...pod, netns: '' });
      });

      test('of a pod that was never connected is no error', async () => {
        await call('bridge', 'DEL', await makePod());
        await call('portmap', 'DEL', await makePod());
      });

      test('prints nothing', async () => {
        const pod = await makePod();
        await add(pod);
        expect(await call('bridge', 'DEL', pod)).toBeUndefined();
      });
    });

    describe('CHECK', () => {
      test('finds what ADD has made, prints nothing, and misses what is gone', async () => {
        const pod = await makePod();
        const { value } = await add(pod);
        expect(await call('bridge', 'CHECK', pod, { prevResult: value })).toBeUndefined();
        await call('bridge', 'DEL', pod, { prevResult: value });
        await expect(call('bridge', 'CHECK', pod, { prevResult: value })).rejects.toMatchObject(told());
      });
    });

    describe('STATUS and GC', () => {
      test('are verbs of 1.1: an older plugin refuses them, and keeps what it has', async () => {
        const pod = await makePod();
        const { value } = await add(pod);
        for (const verb of ['STATUS', 'GC'] as const) {
          const asking = call('bridge', verb, undefined, { 'cni.dev/valid-attachments': [] });
          if (bench.newest === '1.1.0') expect(await asking).toBeUndefined();
          else await expect(asking).rejects.toMatchObject(told());
        }
        const checking = call('bridge', 'CHECK', pod, { prevResult: value });
        const kept = await checking.then(
          () => true,
          (error: unknown) => !isBerthError(error, 'NETWORK_FAILED'),
        );
        // GC takes away what is not among the attachments that are valid: there were none.
        expect(kept).toBe(bench.newest !== '1.1.0');
      });
    });

    test('a plugin that is not there', async () => {
      await expect(call('no-such-plugin', 'ADD')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    });
  });
}
