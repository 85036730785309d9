import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { findCycle, readImports, type ImportOf } from './imports.ts';

// Who may import whom. ARCHITECTURE.md explains the table; a change of it is a decision about the design.

interface Rule {
  readonly modules: readonly string[];
  /** Types of these, but nothing that exists at run time. */
  readonly types?: readonly string[];
  readonly npm?: readonly string[];
}

const rules: Readonly<Record<string, Rule>> = {
  base: { modules: [], npm: ['pino', 'prom-client'] },
  config: { modules: ['base'], npm: ['zod', 'smol-toml'] },
  linux: { modules: ['base'] },
  store: { modules: ['base'], npm: ['level'] },
  runtime: { modules: ['base', 'config', 'linux'], npm: ['protobufjs', 'protobufjs/light.js', 'long'] },
  images: { modules: ['base', 'config', 'linux', 'store'], npm: ['undici', 'smol-toml'] },
  network: { modules: ['base', 'config', 'linux'] },
  sandbox: { modules: ['base', 'config', 'store', 'runtime', 'images', 'network'], types: ['cri-api', 'linux'] },
  server: {
    modules: ['base', 'config', 'sandbox', 'images', 'cri-api'],
    npm: ['@grpc/grpc-js', '@grpc/proto-loader', 'protobufjs', 'ws'],
  },
  cli: {
    modules: ['base', 'config', 'images', 'cri-api'],
    npm: ['@grpc/grpc-js', '@grpc/proto-loader', 'commander', 'ws'],
  },
  'cri-api': { modules: [], npm: ['@grpc/grpc-js', '@grpc/proto-loader'] },
  main: {
    modules: ['base', 'config', 'linux', 'store', 'runtime', 'images', 'network', 'sandbox', 'server', 'cri-api'],
  },
  e2e: { modules: ['cri-api'], npm: ['@grpc/grpc-js', '@grpc/proto-loader', 'level', 'ws', 'yaml'] },
  bench: { modules: ['cri-api', 'e2e'], npm: ['@grpc/grpc-js', '@grpc/proto-loader'] },
};

/** What tests and hand-written fakes may use besides. */
const testPackages = ['@jest/globals', 'fast-check', 'yaml'];
/** Compares the transcription with the protocol's table: protobufjs reads the .proto. */
const protocolPackages = ['protobufjs', '@grpc/proto-loader'];

const top = path.dirname(import.meta.dirname);
const imports = readImports(top, ['src', 'cri-api', 'e2e', 'bench']);

function moduleOf(file: string): string {
  const [first = '', second = ''] = file.split('/');
  if (first !== 'src') return first === '..' ? 'outside' : first;
  return second.endsWith('.ts') ? path.basename(second, '.ts') : second;
}

function isTest(file: string): boolean {
  return /\.(test|contract|fake|fixture)\.ts$/.test(file) || file.startsWith('e2e/');
}

/** Why this import is not allowed, or undefined. */
function objection({ file, specifier, target, typeOnly }: ImportOf): string | undefined {
  const from = moduleOf(file);
  const rule = rules[from];
  if (rule === undefined) return `${from} has no row in the table`;
  if (specifier.startsWith('node:')) return undefined;
  // Generated types name the type of a 64-bit integer.
  if (file.includes('/gen/') && typeOnly && specifier === '@grpc/proto-loader') return undefined;
  if (target === undefined) {
    const allowed = [
      ...(rule.npm ?? []),
      ...(isTest(file) ? testPackages : []),
      ...(from === 'cri-api' ? protocolPackages : []),
    ];
    return allowed.includes(specifier) ? undefined : `${from} may not use the package ${specifier}`;
  }
  const to = moduleOf(target);
  if (to === 'main') return 'nobody imports main';
  if (to === from) return undefined;
  if (specifier.startsWith('.')) return `reaches into ${to} by a relative path`;
  if (rule.modules.includes(to)) return undefined;
  if (typeOnly && rule.types?.includes(to)) return undefined;
  if (isTest(file) && from !== 'e2e' && from !== 'base') return undefined;
  return `${from} may not import ${to}`;
}

describe('imports', () => {
  test('there are some to check', () => {
    expect(imports.length).toBeGreaterThan(50);
  });

  test('every import is allowed by the table', () => {
    const objections = imports.flatMap((one) => {
      const why = objection(one);
      return why === undefined ? [] : [`${one.file}: ${one.specifier}: ${why}`];
    });
    expect(objections).toEqual([]);
  });

  test('no file imports itself in a circle', () => {
    expect(findCycle(imports)).toBeUndefined();
  });

  test('production code does not import fakes or fixtures', () => {
    const wrong = imports.filter(({ file, target }) => !isTest(file) && target !== undefined && isTest(target));
    expect(
      wrong.map(({ file, specifier }) => `${file}: ${specifier}`).filter((line) => !/^e2e|^bench/.test(line)),
    ).toEqual([]);
  });

  test('the table itself has no circle', () => {
    const edges = Object.entries(rules).flatMap(([file, rule]) =>
      rule.modules.map((target) => ({ file, target, specifier: target, typeOnly: false })),
    );
    expect(findCycle(edges)).toBeUndefined();
  });
});

describe('findCycle', () => {
  const edge = (file: string, target: string, typeOnly = false): ImportOf => ({
    file,
    target,
    specifier: target,
    typeOnly,
  });

  test('names the chain', () => {
    expect(findCycle([edge('a', 'b'), edge('b', 'c'), edge('c', 'b')])).toEqual(['b', 'c', 'b']);
  });

  test('types alone make no circle', () => {
    expect(findCycle([edge('a', 'b'), edge('b', 'a', true)])).toBeUndefined();
  });
});
