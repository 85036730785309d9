// make critest: the CRI's own conformance tests against a built berthd, on a node of namespaces with a registry that holds
// look-alikes of the images they pull. FOCUS=regexp chooses specs, MODE=cni connects pods by Debian's CNI plugins, WEBSOCKET=1
// streams over websockets, SEED=n repeats an order.
import { closeSync, existsSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import path from 'node:path';
import { CniFiles, cniConfig } from '../harness/cni.ts';
import { startBerthd, type Berthd } from '../harness/berthd.ts';
import { output } from '../harness/command.ts';
import { buildImage } from '../harness/made-image.ts';
import type { TestNode } from '../harness/node.ts';
import { cache, top } from '../harness/paths.ts';
import { Registry } from '../harness/registry.ts';
import { makeBases } from './bases.ts';
import { excuses, surprises } from './expected.ts';
import { critestImages } from './images.ts';
import { describeReport, readReport, type Report } from './report.ts';

const { FOCUS = '', MODE = 'builtin', SEED = '', WEBSOCKET = '' } = process.env;
const directory = path.join(cache, 'critest');
const ginkgoFile = path.join(directory, 'ginkgo.json');
const logFile = path.join(directory, 'critest.log');

/** Everything that berthd asks any registry for is asked of ours. */
const hostsToml = ({ url }: Registry): string =>
  `server = "${url}"\n[host."${url}"]\ncapabilities = ["pull", "resolve"]\n`;

async function fill(node: TestNode): Promise<void> {
  const registry = await Registry.start(node);
  const images = critestImages(await makeBases());
  for (const { names, recipe } of images) {
    const image = buildImage(recipe);
    for (const name of names) await registry.push(name, image);
  }
  const hosts = path.join(node.directory, 'hosts/_default');
  mkdirSync(hosts, { recursive: true });
  writeFileSync(path.join(hosts, 'hosts.toml'), hostsToml(registry));
}

/** The chain of a usual node: a bridge with addresses of its own, and ports of the node. */
function cniNetwork(node: TestNode): string {
  const lines = cniConfig(node);
  const ranges = [[{ subnet: '10.77.0.0/16' }]];
  const routes = [{ dst: '0.0.0.0/0' }];
  const ipam = { type: 'host-local', dataDir: path.join(node.directory, 'ipam'), ranges, routes };
  const bridge = { type: 'bridge', bridge: cniBridge, isGateway: true, ipMasq: true, hairpinMode: true, ipam };
  const chain = {
    cniVersion: '1.0.0',
    name: 'critest',
    plugins: [bridge, { type: 'portmap', capabilities: { portMappings: true } }],
  };
  writeFileSync(path.join(node.directory, 'net.d/10-critest.conflist'), JSON.stringify(chain));
  return lines;
}

const cniBridge = 'cnicritest';

async function runCritest(berthd: Berthd, program: string): Promise<void> {
  rmSync(ginkgoFile, { force: true });
  const streams = ['exec', 'attach', 'portforward'];
  // What its specs put on the node's disks goes with the node, also when they fail.
  const scratch = path.join(berthd.node.directory, 'critest');
  mkdirSync(scratch);
  const argv = [
    'env',
    `TMPDIR=${scratch}`,
    program,
    `-runtime-endpoint=unix://${berthd.socket}`,
    `-image-endpoint=unix://${berthd.socket}`,
    '-ginkgo.no-color',
    '-ginkgo.flake-attempts=1',
    `-ginkgo.json-report=${ginkgoFile}`,
    ...(SEED === '' ? [] : [`-ginkgo.seed=${SEED}`]),
    ...(FOCUS === '' ? [] : [`-ginkgo.focus=${FOCUS}`]),
    ...(WEBSOCKET === '' ? [] : streams.map((stream) => `-websocket-${stream}`)),
  ];
  const log = openSync(logFile, 'w');
  const child = berthd.node.spawn(argv, ['ignore', log, log]);
  closeSync(log);
  await once(child, 'exit');
  for (const mount of berthd.node.mounts()) {
    const [point = ''] = mount.split(' ');
    if (point.startsWith(`${scratch}/`)) await berthd.node.run(['umount', '--lazy', point]);
  }
  if (!existsSync(ginkgoFile)) throw new Error(`critest wrote no report: ${logFile}`);
}

function verdict(report: Report): boolean {
  console.log(describeReport(report));
  for (const line of excuses(report)) console.log(line);
  const unexpected = surprises(report, FOCUS !== '');
  for (const line of unexpected) console.log(line);
  return unexpected.length === 0;
}

async function main(): Promise<boolean> {
  mkdirSync(directory, { recursive: true });
  const tools = (await output([path.join(top, 'tools/get-crictl'), 'critest'], { timeoutMs: 900_000 })).trim();
  const berthd = await startBerthd({
    node: { whole: true },
    prepare: fill,
    network: MODE === 'cni' ? cniNetwork : () => `mode = "${MODE}"\n`,
    config: (node) => `[registries]\nhosts_directories = ["${node.directory}/hosts"]\n`,
  });
  try {
    await runCritest(berthd, path.join(tools, 'critest'));
    const report = readReport(ginkgoFile, FOCUS !== '');
    writeFileSync(path.join(directory, 'report.json'), `${JSON.stringify(report, undefined, 2)}\n`);
    console.log(`berthd's log: ${berthd.logFile}`);
    return verdict(report);
  } finally {
    if (MODE === 'cni') await new CniFiles(berthd).removeLeftovers(cniBridge);
    await berthd.teardown();
  }
}

if (!(await main())) process.exitCode = 1;
