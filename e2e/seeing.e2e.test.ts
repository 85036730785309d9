import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { startBerthd, type Berthd } from './harness/berthd.ts';
import { top } from './harness/paths.ts';
import { shell, TestPod } from './harness/pods.ts';

// What berthd shows of itself: metrics, health, crictl's views, and the files that describe them.

let berthd: Berthd;
let pod: TestPod;
beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
  pod = await TestPod.run(berthd);
});
afterAll(() => berthd.teardown());

const get = (page: string): Promise<string> => berthd.metrics(page);

describe('metrics and health', () => {
  test('/healthz says that it is well', async () => {
    expect(await get('/healthz')).toMatch(/^HTTP\/1\.[01] 200/);
    expect(await get('/elsewhere')).toMatch(/^HTTP\/1\.[01] 404/);
  });

  test('/metrics counts calls, pods and containers', async () => {
    await pod.sh('true');
    const container = await pod.start(shell('sleep 1000'));
    const text = await get('/metrics');
    expect(text).toMatch(/^berth_call_seconds_count\{method="RunPodSandbox",code="OK"\} [1-9]/m);
    expect(text).toMatch(/^berth_pods 1$/m);
    expect(text).toMatch(/^berth_containers 1$/m);
    await container.remove();
  });

  test('docs/metrics.md lists every metric of our own, and no other', async () => {
    const served = [...(await get('/metrics')).matchAll(/^# TYPE (berth_\w+) /gm)].map(([, name]) => name);
    const page = readFileSync(path.join(top, 'docs/metrics.md'), 'utf8');
    const listed = [...page.matchAll(/^\| `(berth_\w+)` /gm)].map(([, name]) => name);
    expect(listed.toSorted()).toEqual(served.toSorted());
  });

  test('the dashboard asks for metrics that are served', async () => {
    const served = await get('/metrics');
    const dashboard = readFileSync(path.join(top, 'deploy/grafana-dashboard.json'), 'utf8');
    const { panels } = JSON.parse(dashboard) as { panels: { targets: { expr: string }[] }[] };
    const asked = panels.flatMap(({ targets }) =>
      targets.flatMap(({ expr }) => expr.match(/(berth|process|nodejs)_\w+/g)),
    );
    expect(asked.length).toBeGreaterThan(5);
    const bare = (name: string | null): string => String(name).replace(/_(bucket|count|sum)$/, '');
    expect(asked.filter((name) => !served.includes(`# TYPE ${bare(name)} `))).toEqual([]);
  });
});

describe('crictl, in json and yaml alike', () => {
  test('inspect, inspectp and info say the same', async () => {
    const container = await pod.start(shell('sleep 1000', { labels: { a: 'b' } }));
    const commands = [['inspect', container.id], ['inspectp', pod.id], ['info'], ['inspecti', 'localhost/busybox']];
    for (const [command = '', ...ids] of commands) {
      const json = JSON.parse(await berthd.crictlOk(command, '-o', 'json', ...ids)) as { status: object };
      const yaml = parse(await berthd.crictlOk(command, '-o', 'yaml', ...ids)) as { status: object };
      expect(Object.keys(json.status).length).toBeGreaterThan(0);
      // Counters and fractions of a second differ from call to call; what is there does not.
      expect(Object.keys(yaml.status).sort()).toEqual(Object.keys(json.status).sort());
    }
    await container.remove();
  });
});

describe('a terminal', () => {
  test('is given when asked for, with TERM, and its lines are logged', async () => {
    const text = await pod.sh('test -t 0 && test -t 1 && echo a terminal; echo $TERM; tty', { tty: true, stdin: true });
    const lines = text.replaceAll('\r', '').split('\n');
    expect(lines).toEqual(expect.arrayContaining(['a terminal', 'xterm', '/dev/pts/0']));
  });
});

describe('a second berthd', () => {
  test('with state of its own but the same metrics port says which port, and does not run half', async () => {
    const directory = path.join(berthd.node.directory, 'second');
    mkdirSync(directory);
    const file = path.join(berthd.node.directory, 'second.toml');
    const network = `[network]\nbridge = "bb${berthd.node.id}"\nnft_table = "berth${berthd.node.id}"\n`;
    // The first one's groups, which go with it: by default it would make some of the machine's and leave them.
    const prefix = `/${berthd.node.cgroupPrefix}`;
    const cgroup = `[cgroup]\ndefault_parent = "${prefix}"\nshim_parent = "${prefix}-shims"\n`;
    writeFileSync(file, `root = "${directory}/s"\nrun = "${directory}/r"\n${network}${cgroup}`);
    const child = berthd.spawn(file);
    const code = await new Promise((resolve) => child.once('exit', resolve));
    expect(code).not.toBe(0);
    expect(berthd.log).toMatch(/127\.0\.0\.1:9478/);
  });
});
