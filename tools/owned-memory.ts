import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface Place {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** What takes or gives back memory there: "malloc", "placement new". */
  readonly what: string;
}

const functions =
  'malloc calloc realloc reallocarray free cfree strdup strndup asprintf vasprintf posix_memalign aligned_alloc memalign ' +
  'valloc alloca getline getdelim open_memstream scandir mmap mmap64 mremap munmap brk sbrk pb_release';

/** In the order in which they are named where several are in one line. */
const patterns: readonly (readonly [what: string, pattern: RegExp])[] = [
  ...functions.split(' ').map((name) => [name, new RegExp(`\\b${name}\\s*\\(`)] as const),
  ['system call', /\bSYS_(mmap|munmap|mremap|brk)\b/],
  ['new', /\bnew\b/],
  ['delete', /(?<!=\s*)\bdelete\b/],
  ['destructor call', /(\.|->)\s*~\w+\s*\(/],
];

/** C++ without comments, strings and characters, its lines where they were. */
export function codeOf(text: string): string {
  const others = /\/\/[^\n]*|\/\*[^]*?\*\/|R"(\w*)\([^]*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<!\w)'(?:\\.|[^'\\\n])+'/g;
  return text.replace(others, (part) => part.replace(/[^\n]/g, ' '));
}

/** Where `text` takes memory, gives it back or ends an object by itself. */
export function bareMemory(file: string, text: string): Place[] {
  return codeOf(text)
    .split('\n')
    .flatMap((line, index) =>
      patterns
        .filter(([, pattern]) => !line.startsWith('#') && pattern.test(line))
        .map(([what]) => ({ file, line: index + 1, what })),
    );
}

/** Names relative to `top`, sorted. */
export function nativeFiles(top: string, folders: readonly string[]): string[] {
  return folders
    .flatMap((folder) =>
      readdirSync(path.join(top, folder), { recursive: true, encoding: 'utf8' }).map((name) => `${folder}/${name}`),
    )
    .filter((file) => /\.(cc|c|h)$/.test(file))
    .sort();
}

export function readNative(top: string, file: string): string {
  return readFileSync(path.join(top, file), 'utf8');
}
