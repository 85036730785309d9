import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { readLog, LineParser, type FollowOptions } from './log-file.ts';

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'berth-log-'));
  file = path.join(directory, '0.log');
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const line = (text: string, stream = 'stdout', tag = 'F'): string =>
  `2026-11-21T12:00:00.000000001Z ${stream} ${tag} ${text}\n`;

async function collect(options: FollowOptions, onPiece?: (text: string) => void): Promise<string[]> {
  const pieces: string[] = [];
  for await (const { stream, text } of readLog(file, { pollMs: 1, ...options })) {
    pieces.push(`${stream}:${text.toString()}`);
    onPiece?.(text.toString());
  }
  return pieces;
}

describe('readLog', () => {
  test('tells the streams apart and joins nothing to partial lines', async () => {
    writeFileSync(file, line('part', 'stdout', 'P') + line('end') + line('oh', 'stderr') + line(''));
    expect(await collect({ follow: false })).toEqual(['stdout:part', 'stdout:end\n', 'stderr:oh\n', 'stdout:\n']);
  });

  test('a file that is not there has nothing to say', async () => {
    expect(await collect({ follow: false })).toEqual([]);
  });

  test('follows through a rotation and ends when nothing more will come', async () => {
    writeFileSync(file, line('1'));
    let ended = false;
    const pieces = await collect({ follow: true, ended: () => ended }, (text) => {
      if (text === '1\n') {
        renameSync(file, `${file}.old`);
        appendFileSync(`${file}.old`, line('2'));
        writeFileSync(file, line('3'));
      } else if (text === '3\n') {
        appendFileSync(file, line('4'));
        ended = true;
      }
    });
    expect(pieces).toEqual(['1', '2', '3', '4'].map((text) => `stdout:${text}\n`));
  });

  test('an aborted follower stops', async () => {
    const controller = new AbortController();
    const following = collect({ follow: true, ended: () => false, signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(following).rejects.toThrow('enough');
  });
});

describe('LineParser', () => {
  test('chunks may split anywhere, also within a character', () => {
    const bytes = Buffer.from(line('grüße') + line('ü', 'stderr', 'P'));
    const parser = new LineParser();
    const texts = [...bytes].flatMap((byte) => [...parser.add(Buffer.of(byte))].map(({ text }) => text.toString()));
    expect(texts).toEqual(['grüße\n', 'ü']);
  });

  test('what is no log line is left out', () => {
    const parser = new LineParser();
    expect([...parser.add(Buffer.from('hello\nx y z w\n'))]).toEqual([]);
  });
});
