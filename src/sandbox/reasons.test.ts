import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { containerReasons, podReasons } from './reasons.ts';

const text = readFileSync(path.join(import.meta.dirname, '../../docs/reasons.md'), 'utf8');

/** Rows of the table below a title: reason, meaning, message, and what to do. */
function rows(title: string): Record<string, string> {
  const part = text.split(`## ${title}\n`)[1]?.split('\n## ')[0] ?? '';
  const found = [...part.matchAll(/^\| `([A-Za-z]+)` \| (.+?) \| (.+?) \| (.+?) \|$/gm)];
  return Object.fromEntries(found.map(([, reason = '', meaning = '']) => [reason, meaning]));
}

test('docs/reasons.md lists exactly the reasons of pods and of containers', () => {
  expect(rows('Pods')).toEqual(podReasons);
  expect(rows('Containers')).toEqual(containerReasons);
});

test('docs/reasons.md lists the reasons of the conditions of Status', () => {
  const sources = ['server/runtime-service', 'network/cni', 'network/builtin'].flatMap((directory) => {
    const at = path.join(import.meta.dirname, '..', directory);
    const names = readdirSync(at).filter((name) => name.endsWith('.ts') && !/\.(test|fixture|fake)\./.test(name));
    return names.map((name) => readFileSync(path.join(at, name), 'utf8'));
  });
  const used = sources.flatMap((source) => [...source.matchAll(/\breason: '([A-Za-z]+)'/g)].map(([, name]) => name));
  expect(Object.keys(rows('Conditions of Status')).sort()).toEqual([...new Set(used)].sort());
});
