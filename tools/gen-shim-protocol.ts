// Makes src/runtime/shim/gen from native/protocol/shim.proto: types for TypeScript and the descriptor that protobufjs
// encodes and decodes by. Run by `npm run gen`; CI runs it again and compares.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import protobuf from 'protobufjs';

const top = path.dirname(import.meta.dirname);
const proto = 'native/protocol/shim.proto';
const out = path.join(top, 'src/runtime/shim/gen');

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
execFileSync(
  process.execPath,
  [
    path.join(top, 'node_modules/@grpc/proto-loader/build/bin/proto-loader-gen-types.js'),
    ...['--keepCase', '--longs=String', '--enums=String', '--bytes=Buffer', '--defaults', '--oneofs'],
    ...['--importFileExtension=.ts', `--outDir=${out}`, proto],
  ],
  { cwd: top, stdio: ['ignore', 'ignore', 'inherit'] },
);
const { root } = protobuf.parse(readFileSync(path.join(top, proto), 'utf8'), { keepCase: true });
const descriptor = JSON.stringify(root.toJSON({ keepComments: false }));
writeFileSync(
  path.join(out, 'descriptor.ts'),
  `// Original file: ${proto}\n\nexport const descriptor = ${JSON.stringify(descriptor)};\n`,
);
