import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Berthd, startBerthd } from './harness/berthd.ts';
import { busybox } from './harness/paths.ts';

// Every command of berth with every option and argument empty, too long, of another type or unknown: each is answered with
// sentences, and changes nothing. What there is to try is read from berth's own help.

let berthd: Berthd;
beforeAll(async () => {
  berthd = await startBerthd();
  await berthd.loadBusybox();
});
afterAll(() => berthd.teardown());

interface Usage {
  readonly words: readonly string[];
  /** Whether it takes words after its options. */
  readonly takesArguments: boolean;
  readonly options: readonly { readonly flag: string; readonly value: boolean }[];
}

async function help(words: readonly string[]): Promise<string> {
  const { code, stdout } = await berthd.berth([...words, '--help']);
  expect(code).toBe(0);
  return stdout;
}

/** Lines of "  -o, --output <table|json>  how", and of "  ps [options]  list". */
async function usages(words: readonly string[] = []): Promise<readonly Usage[]> {
  const text = await help(words);
  const part = (title: string): string[] => (text.split(`${title}:\n`)[1] ?? '').split('\n\n')[0]?.split('\n') ?? [];
  const options = part('Options').flatMap((line) => {
    const [, flag, value] = /^ {2}(?:-\w, )?(--[a-z-]+)( <[^ ]*>)?/.exec(line) ?? [];
    return flag === undefined || flag === '--help' ? [] : [{ flag, value: value !== undefined }];
  });
  const commands = part('Commands').flatMap((line) => /^ {2}([a-z]+)/.exec(line)?.[1] ?? []);
  const inner = await Promise.all(commands.filter((name) => name !== 'help').map((name) => usages([...words, name])));
  const own = { words, takesArguments: /^Usage:.*[<[](?!options|command\])[a-z]+(\.\.\.)?[>\]]/m.test(text), options };
  return [own, ...inner.flat()];
}

const long = 'x'.repeat(5_000);
const values = ['', long, 'nonsense\u0001', '-1', '99999999999999999999', '../..'];

/** What makes a command complete but for the one thing that is tried. */
const rest: Readonly<Record<string, readonly string[]>> = {
  run: [busybox, 'true'],
  exec: ['nobody', 'true'],
  load: ['/no/such.tar'],
  'config check': ['/no/such.toml'],
};

/** What is wrong with the answer; "" when it is a failure of ours, told in sentences. */
async function wrong(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await berthd.berth(args, { timeoutMs: 60_000 });
  const faults = [
    code === 125 ? '' : `ended with ${code}`,
    /^(berth|error): .{5}/m.test(stderr) ? '' : 'says nothing',
    /^ +at /m.test(stderr) ? 'shows a stack' : '',
    stderr.split('\n').some((line) => line.length > 1_000) ? 'has an endless line' : '',
    stdout === '' ? '' : 'has output',
  ].filter(Boolean);
  const shown = args.map((arg) => JSON.stringify(arg.slice(0, 20))).join(' ');
  return faults.length === 0 ? '' : `${shown}: ${faults.join(', ')}: ${stderr.slice(0, 300)}`;
}

/** A few at a time. */
async function allWrong(lines: readonly (readonly string[])[]): Promise<string[]> {
  const found: string[] = [];
  const left = [...lines];
  const one = async (): Promise<void> => {
    for (let args = left.shift(); args; args = left.shift()) found.push(await wrong(args));
  };
  await Promise.all([one(), one(), one(), one()]);
  return found.filter(Boolean);
}

describe('bad arguments', () => {
  let all: readonly Usage[];
  beforeAll(async () => {
    all = await usages();
  });

  test('the help names the commands', () => {
    const names = all.map(({ words }) => words.join(' '));
    for (const name of ['', 'run', 'shutdown', 'config check']) expect(names).toContain(name);
    expect(all.flatMap(({ options }) => options).length).toBeGreaterThan(15);
  });

  test('an unknown option, and more words than a command takes', async () => {
    const lines = all.flatMap(({ words, takesArguments }) => [
      [...words, '--frobnicate'],
      ...(takesArguments || words.length === 0 ? [] : [[...words, 'more']]),
    ]);
    expect(await allWrong(lines)).toEqual([]);
  }, 120_000);

  test('a value that is missing', async () => {
    const lines = all.flatMap(({ words, options }) =>
      options.filter(({ value }) => value).map(({ flag }) => [...words, flag]),
    );
    expect(await allWrong(lines)).toEqual([]);
  }, 120_000);

  test('values that cannot be', async () => {
    const lines = all.flatMap(({ words, options }) =>
      options
        .filter(({ value }) => value)
        .flatMap(({ flag }) => values.filter((bad) => !canBe(flag, bad)).map((bad) => [...words, flag, bad]))
        .map((line) => [...line, ...(words.length === 0 ? ['ps'] : (rest[words.join(' ')] ?? []))]),
    );
    expect(lines.length).toBeGreaterThan(50);
    expect(await allWrong(lines)).toEqual([]);
  }, 300_000);

  test('words that cannot be', async () => {
    const lines = all
      .filter(({ words, takesArguments }) => takesArguments && words.length > 0)
      .flatMap(({ words }) =>
        values
          .filter((bad) => !bad.startsWith('-'))
          .map((bad) => [...words, bad, ...(words[0] === 'exec' ? ['true'] : [])]),
      );
    expect(lines.length).toBeGreaterThan(30);
    expect(await allWrong(lines)).toEqual([]);
    expect((await berthd.cri.runtime.listPodSandbox({})).items).toEqual([]);
  }, 300_000);
});

/** A pod may have a name of digits. */
function canBe(flag: string, value: string): boolean {
  return flag === '--name' && /^\d+$/.test(value);
}
