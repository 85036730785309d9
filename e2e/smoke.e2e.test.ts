import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { podConfig, shell } from './harness/pods.ts';

let berthd: Berthd;
beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
});
afterAll(() => berthd.teardown());

describe('the real crictl', () => {
  test('sees a runtime that is ready', async () => {
    expect(await berthd.crictlOk('version')).toMatch(/RuntimeName: +berth/);
    const info = JSON.parse(await berthd.crictlOk('info')) as { status: { conditions: unknown[] } };
    expect(info.status.conditions).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ type: 'RuntimeReady', status: true }),
        expect.objectContaining({ type: 'NetworkReady', status: true }),
      ]),
    );
  });

  test('speaks to a berthd whose loops have watches that no container can use up', () => {
    expect(readFileSync(berthd.logFile, 'utf8')).not.toContain('max_user_watches');
  });

  test('takes a pod through its whole life', async () => {
    const pod = podConfig(berthd);
    const container = shell('echo out; echo err >&2; sleep 1000', {
      metadata: { name: 'main', attempt: 0 },
      log_path: 'main.log',
    });
    const podFile = path.join(berthd.node.directory, 'pod.json');
    const containerFile = path.join(berthd.node.directory, 'container.json');
    writeFileSync(podFile, JSON.stringify(pod));
    writeFileSync(containerFile, JSON.stringify(container));

    const podId = await berthd.crictlOk('runp', podFile);
    expect(podId).toMatch(/^[0-9a-f]{64}$/);
    const id = await berthd.crictlOk('create', podId, containerFile, podFile);
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    expect(await berthd.crictlOk('start', id)).toBe(id);

    expect(await berthd.crictlOk('exec', '--sync', id, 'echo', 'hello')).toBe('hello');
    const failing = await berthd.crictl(['exec', '--sync', id, 'sh', '-c', 'exit 3']);
    expect(failing.code).not.toBe(0);
    expect(failing.stderr).toContain('3');
    const logs = await berthd.crictl(['logs', id]);
    expect(logs).toMatchObject({ code: 0, stdout: 'out\n', stderr: 'err\n' });

    expect(await berthd.crictlOk('ps', '-q')).toBe(id);
    expect(await berthd.crictlOk('pods', '-q', '--state', 'ready')).toBe(podId);
    const inspected = JSON.parse(await berthd.crictlOk('inspect', id)) as { status: { state: string } };
    expect(inspected.status.state).toBe('CONTAINER_RUNNING');
    expect(await berthd.crictlOk('inspect', '-o', 'yaml', id)).toContain('CONTAINER_RUNNING');
    const pods = JSON.parse(await berthd.crictlOk('inspectp', podId)) as { status: { network: { ip: string } } };
    expect(pods.status.network.ip).toMatch(/^10\.89\./);
    expect(await berthd.crictlOk('inspectp', '-o', 'yaml', podId)).toContain('SANDBOX_READY');
    expect(await berthd.crictlOk('images')).toContain('localhost/busybox');

    await berthd.crictlOk('stop', '--timeout', '0', id);
    await berthd.crictlOk('rm', id);
    await berthd.crictlOk('stopp', podId);
    await berthd.crictlOk('rmp', podId);
    expect(await berthd.crictlOk('pods', '-q')).toBe('');
  });

  test('`berth check` lists nothing', async () => {
    const check = await berthd.berth(['check']);
    expect(check).toMatchObject({ code: 0 });
  });
});
