import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { bareMemory, nativeFiles, readNative } from './owned-memory.ts';

// The shim's memory has owners: native/common/owned.h has them, and nobody else takes any or gives it back.

const top = path.dirname(import.meta.dirname);
const owners = 'native/common/owned.h';
/** What else may, and only that: the owner of what nanopb takes, and who asks where the heap ends. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  'native/shim/messages.cc': ['pb_release'],
  'native/shim/pause.cc': ['sbrk'],
};
function places(file: string): string[] {
  return bareMemory(file, readNative(top, file))
    .filter(({ what }) => allowed[file]?.includes(what) !== true)
    .map(({ line, what }) => `${file}:${String(line)}: ${what}`);
}

describe('the shim’s memory', () => {
  const files = nativeFiles(top, ['native/shim', 'native/common']).filter((file) => file !== owners);

  test('there are files to look through, and the owners are found', () => {
    expect(files.length).toBeGreaterThan(80);
    expect(bareMemory(owners, readNative(top, owners)).length).toBeGreaterThan(10);
  });

  test('is taken and given back in common/owned.h alone', () => {
    expect(files.flatMap(places)).toEqual([]);
  });
});

describe('bareMemory', () => {
  const found = (text: string): string[] => bareMemory('x.cc', text).map(({ line, what }) => `${String(line)} ${what}`);

  test('names line and word', () => {
    expect(found('int a;\n  void* room = malloc(4);\n\n  free (room);')).toEqual(['2 malloc', '4 free']);
    expect(found('auto* exec = new (room) Exec();\nexec.~Exec();\nlog->~Log();')).toEqual([
      '1 new',
      '2 destructor call',
      '3 destructor call',
    ]);
    expect(found('char* copy = strdup(text), *pages = mmap(nullptr, 1);\nmunmap(pages, 1);')).toEqual([
      '1 strdup',
      '1 mmap',
      '2 munmap',
    ]);
    expect(found('delete list;\ndelete[] list;\nsyscall(SYS_mmap);')).toEqual([
      '1 delete',
      '2 delete',
      '3 system call',
    ]);
  });

  test('passes over comments, texts, names that only contain such a word, and what is forbidden to be copied', () => {
    const text = `// a new pump; free(it)
/* malloc(1)
   new */ exec_free(exec);
fault.refuse("delete", "new");  // 'new'
Fd(const Fd&) = delete;
~Fd() { reset(); }
#include <new>
const int n = 1'000'000, m = '"'; // "
owner.release_free;`;
    expect(found(text)).toEqual([]);
  });

  test('a text that ends in a comment’s beginning hides nothing', () => {
    expect(found('log("//"); free(a);\nlog("/*"); free(b);\nc = \'"\'; free(c);')).toEqual([
      '1 free',
      '2 free',
      '3 free',
    ]);
  });
});
