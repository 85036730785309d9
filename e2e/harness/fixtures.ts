import { existsSync, mkdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { output } from './command.ts';
import { cache, top } from './paths.ts';

/** Builds a C program of e2e/fixtures into the cache, unless it is there and newer; gives its path. */
export async function fixture(name: string, flags: readonly string[] = []): Promise<string> {
  const source = path.join(top, 'e2e/fixtures', `${name}.c`);
  const program = path.join(cache, 'fixtures', name);
  if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return program;
  mkdirSync(path.dirname(program), { recursive: true });
  await output(['cc', '-O1', '-Wall', '-Wextra', '-Werror', '-o', program, source, ...flags]);
  return program;
}
