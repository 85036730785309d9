// Makes cri-api/gen, the types of the protocol, from cri-api/api.proto. Run by `npm run gen`; a test runs it again and
// compares. With an argument: makes them in that directory instead.
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';

const top = path.dirname(import.meta.dirname);
const out = path.resolve(process.argv[2] ?? path.join(top, 'cri-api/gen'));

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
execFileSync(
  process.execPath,
  [
    path.join(top, 'node_modules/@grpc/proto-loader/build/bin/proto-loader-gen-types.js'),
    // The same choices as where the protocol is loaded, or the types would promise what the loader does not do.
    ...['--keepCase', '--longs=String', '--enums=String', '--bytes=Buffer', '--defaults', '--oneofs'],
    ...['--grpcLib=@grpc/grpc-js', '--importFileExtension=.ts', `--outDir=${out}`, 'api.proto'],
  ],
  { cwd: path.join(top, 'cri-api'), stdio: ['ignore', 'ignore', 'inherit'] },
);
