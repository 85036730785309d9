// `make test`: every suite, one after another, each told in one line as it ends; the output of a failing one is shown.
// The last line is "N passed, N failed".
import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { countCritest, countCtest, countJest, type Count } from './test-counts.ts';

const top = path.dirname(import.meta.dirname);
const results = path.join(top, '.cache/test-results');
const jest = [process.execPath, '--experimental-vm-modules', 'node_modules/jest/bin/jest.js'];

interface Suite {
  readonly name: string;
  readonly command: readonly string[];
  readonly count: (output: string, json: string) => Count | undefined;
}

const suites: readonly Suite[] = [
  {
    name: 'unit',
    command: [...jest, '--selectProjects', 'unit', ...jsonTo('unit')],
    count: (_output, json) => countJest(json),
  },
  { name: 'native', command: ['make', 'ctest'], count: countCtest },
  { name: 'sanitizers', command: ['make', 'sanitize'], count: countCtest },
  { name: 'crictl', command: ['tools/get-crictl'], count: () => ({ passed: 0, failed: 0 }) },
  {
    name: 'end to end',
    command: [...jest, '--selectProjects', 'e2e', '--runInBand', ...jsonTo('end to end')],
    count: (_output, json) => countJest(json),
  },
  {
    name: 'critest',
    command: [process.execPath, '-C', 'berth-src', 'e2e/critest/main.ts'],
    count: countCritest,
  },
];

function jsonTo(name: string): string[] {
  return ['--json', `--outputFile=${path.join(results, `${name}.json`)}`];
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Runs one suite with its output in a file; a mark every half minute shows that it is alive. */
async function runSuite({ name, command, count }: Suite): Promise<Count> {
  const started = performance.now();
  const seconds = (): string => `${Math.round((performance.now() - started) / 1000)} s`;
  const log = path.join(results, `${name}.log`);
  say(`==> ${name}`);
  const alive = setInterval(() => say(`    … ${name}: ${seconds()}`), 30_000);
  const code = await toFile(command, log);
  clearInterval(alive);
  const output = readFileSync(log, 'utf8');
  const counted = count(output, readOr(path.join(results, `${name}.json`)));
  // A suite that ended badly without naming a failed test still is one failure; so is one whose tests were not counted.
  const failed = counted === undefined ? 1 : code !== 0 ? Math.max(1, counted.failed) : counted.failed;
  if (failed > 0) say(`${output}\n    (all of it: ${log})`);
  say(`    ${name}: ${counted?.passed ?? 0} passed, ${failed} failed, ${seconds()}`);
  return { passed: counted?.passed ?? 0, failed };
}

/** A suite that hangs is ended with all its processes, and is a failure. */
const limitMs = 15 * 60_000;

function toFile([file = '', ...args]: readonly string[], log: string): Promise<number> {
  const stream = createWriteStream(log);
  const child = spawn(file, args, { cwd: top, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const limit = setTimeout(() => {
    stream.write(`\nended after ${limitMs / 60_000} minutes\n`);
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  }, limitMs);
  child.once('close', () => clearTimeout(limit));
  child.stdout.pipe(stream, { end: false });
  child.stderr.pipe(stream, { end: false });
  return new Promise((resolve) => {
    child.on('error', (error) => stream.end(`${error.message}\n`, () => resolve(127)));
    child.on('close', (code) => stream.end(() => resolve(code ?? 1)));
  });
}

function readOr(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

mkdirSync(results, { recursive: true });
const total = { passed: 0, failed: 0 };
for (const suite of suites) {
  const { passed, failed } = await runSuite(suite);
  total.passed += passed;
  total.failed += failed;
}
say(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;
