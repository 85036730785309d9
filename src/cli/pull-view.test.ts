import { describe, expect, test } from '@jest/globals';
import { amounts, bar, PullView, type LayerLine, type PullLine } from './pull-view.ts';

const layer = (state: string, more: Partial<LayerLine> = {}): LayerLine => ({
  ...{ digest: `sha256:${'ab'.repeat(32)}`, size: 1000, downloaded: 0, unpacked: 0, state },
  ...more,
});
const pull = (stage: string, layers: readonly LayerLine[]): PullLine => ({
  ...{ reference: 'localhost/app:1', startedAt: '2026-01-01T00:00:00.000Z', stage, waiters: 1, layers },
});

function view(terminal: boolean, rows = 24): { readonly view: PullView; readonly text: () => string } {
  let text = '';
  const write = (more: string): void => void (text += more);
  return { view: new PullView({ write, terminal, size: () => ({ rows, columns: 80 }) }), text: () => text };
}

describe('a pull in a log', () => {
  test('is a line for each stage and each finished layer, once', () => {
    const { view: log, text } = view(false);
    log.show(pull('resolve', []));
    log.show(pull('layers', [layer('present'), layer('downloading')]));
    log.show(pull('layers', [layer('present'), layer('done')]));
    log.show(pull('layers', [layer('present'), layer('done')]));
    log.end();
    expect(text().split('\n')).toEqual([
      'localhost/app:1 asks the registry',
      'layer 1 of 2 ababababababa is here',
      'localhost/app:1 downloads',
      'layer 2 of 2 ababababababa 1.0 kB',
      '',
    ]);
  });
});

describe('a pull on a terminal', () => {
  test('is a bar for each layer, drawn in its place, and gone at the end', () => {
    const { view: terminal, text } = view(true);
    terminal.show(pull('layers', [layer('present'), layer('waiting')]));
    terminal.show(pull('layers', [layer('present'), layer('downloading', { downloaded: 500, unpacked: 250 })]));
    expect(text()).toContain('\x1b[3A');
    expect(text()).toContain(`[${'#'.repeat(8)}${'='.repeat(7)}${'-'.repeat(15)}] 500 B of 1.0 kB`);
    terminal.end();
    expect(text().endsWith('\x1b[3A\x1b[J')).toBe(true);
  });

  test('never has more lines than the terminal', () => {
    const { view: terminal, text } = view(true, 5);
    terminal.show(
      pull(
        'layers',
        Array.from({ length: 20 }, () => layer('downloading')),
      ),
    );
    expect(text().split('\n').length - 1).toBe(4);
  });
});

test('a bar never leaves its frame', () => {
  expect(bar(15, 20, 10)).toBe(`[${'#'.repeat(30)}]`);
  expect(bar(0, 0, 0)).toBe(`[${'-'.repeat(30)}]`);
});

test('layers that were here before are no bytes to come', () => {
  expect(amounts(pull('layers', [layer('present'), layer('downloading', { downloaded: 10 })]))).toEqual({
    ...{ done: 10, total: 1000 },
  });
});
