import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createCtx } from '#base/ctx';
import { checkHelpers } from './check-helpers.ts';
import { loadAddon } from './load.ts';
import { nativeProgram } from './native-program.ts';

const addon = loadAddon();
const ctx = createCtx();
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'berth-helpers-'));
});
afterAll(() => rm(directory, { recursive: true }));

async function program(name: string, text: string | Buffer, mode = 0o755): Promise<string> {
  const file = path.join(directory, name);
  await writeFile(file, text);
  await chmod(file, mode);
  return file;
}

/** An executable of this format for a machine that nobody has (e_machine 0xffff). */
const foreign = (): Buffer => {
  const header = Buffer.alloc(64);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1], 0);
  header.writeUInt16LE(2, 16);
  header.writeUInt16LE(0xffff, 18);
  return header;
};
const loaderSays = 'error while loading shared libraries: libisal.so.2: cannot open shared object file';

test('our own programs are whole', async () => {
  await checkHelpers(ctx, addon, [nativeProgram('shim/berth-shim'), nativeProgram('unpack/berth-unpack')]);
});

test.each<[string, () => Promise<string>, RegExp]>([
  ['that is missing', () => Promise.resolve(path.join(directory, 'none')), /no such file or directory \(ENOENT\)/],
  ['that is not executable', () => program('plain', '#!/bin/sh\n', 0o644), /permission denied \(EACCES\)/],
  ['of another architecture', () => program('foreign', foreign()), /exec format error \(ENOEXEC\)/],
  ['whose interpreter is missing', () => program('orphan', '#!/no/such\n'), /no such file or directory \(ENOENT\)/],
  [
    'without a library',
    () => program('unlinked', `#!/bin/sh\necho '${loaderSays}' >&2\nexit 127\n`),
    /it ends with status 127: error while loading shared libraries: libisal\.so\.2: cannot open/,
  ],
  ['that crashes', () => program('crashes', '#!/bin/sh\nkill -SEGV $$\n'), /it was killed by signal 11;/],
])('a program %s is named, with the reason', async (_what, make, why) => {
  const file = await make();
  const checking = checkHelpers(ctx, addon, [nativeProgram('shim/berth-shim'), file]);
  await expect(checking).rejects.toMatchObject({ code: 'FAILED_PRECONDITION', message: expect.stringMatching(why) });
  await expect(checking).rejects.toThrow(file);
});

test('an unpacker whose library is missing: the loader’s words, with the library’s name', async () => {
  const whole = await readFile(nativeProgram('unpack/berth-unpack'));
  const renamed = whole.toString('latin1').replaceAll('libc.so.6', 'libx.so.6');
  const file = await program('berth-unpack', Buffer.from(renamed, 'latin1'));
  await expect(checkHelpers(ctx, addon, [file])).rejects.toThrow(
    /it ends with status 127: .*error while loading shared libraries: libx\.so\.6: cannot open shared object file/,
  );
});
