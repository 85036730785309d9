// Makes cri-api/gen from cri-api/api.proto: the types, and the descriptor that the loader reads instead of parsing the
// file at every start. Run by `npm run gen`; a test runs it again and compares. With an argument: makes them there.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import protobuf from 'protobufjs';

const top = path.dirname(import.meta.dirname);
const out = path.resolve(process.argv[2] ?? path.join(top, 'cri-api/gen'));

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
execFileSync(
  process.execPath,
  [
    path.join(top, 'node_modules/@grpc/proto-loader/build/bin/proto-loader-gen-types.js'),
    // The same choices as in cri-api/load.ts, or the types would promise what the loader does not do.
    ...['--keepCase', '--longs=String', '--enums=String', '--bytes=Buffer', '--defaults', '--oneofs'],
    ...['--grpcLib=@grpc/grpc-js', '--importFileExtension=.ts', `--outDir=${out}`, 'api.proto'],
  ],
  { cwd: path.join(top, 'cri-api'), stdio: ['ignore', 'ignore', 'inherit'] },
);
const { root } = protobuf.parse(readFileSync(path.join(top, 'cri-api/api.proto'), 'utf8'), { keepCase: true });
const descriptor = JSON.stringify(root.toJSON({ keepComments: false }));
writeFileSync(
  path.join(out, 'descriptor.ts'),
  `// Original file: api.proto\n\nexport const descriptor = ${JSON.stringify(descriptor)};\n`,
);
