import { encodeProcess } from './shim/protocol.ts';
import { compileProcess, filterFields } from './plan/process-plan.ts';
import type { RuntimeParts } from './runtime-parts.ts';
import type { OciProcess, OciSpec } from './spec/oci.ts';
import type { TerminalSize } from './streams.ts';

/** A command that runs in a container as confined as its first process: an encoded Process. */
export async function execProcess(
  parts: RuntimeParts,
  spec: OciSpec,
  args: readonly string[],
  terminal?: TerminalSize | 'unsized',
): Promise<Buffer> {
  const seccomp = spec.linux.seccomp ? await parts.filters.get(spec.linux.seccomp) : undefined;
  // Protobuf joins what stands one after the other: only the command and the filter differ from the last time.
  const command = encodeProcess({
    args: args.map((text) => Buffer.from(text, 'latin1')),
    ...(seccomp && filterFields(seccomp)),
    ...(terminal === undefined ? {} : onTerminal(spec.process, terminal)),
  });
  return Buffer.concat([confinement(spec.process), command]);
}

const confinements = new WeakMap<OciProcess, Uint8Array>();

/** A container's process without command and filter, encoded once for all its execs. */
function confinement(process: OciProcess): Uint8Array {
  let encoded = confinements.get(process);
  if (encoded === undefined) {
    encoded = encodeProcess(compileProcess({ ...process, args: [], terminal: false }, undefined));
    confinements.set(process, encoded);
  }
  return encoded;
}

/** A container without a terminal has no TERM of its own. */
function onTerminal(process: OciProcess, size: TerminalSize | 'unsized'): object {
  const named = process.env.some((variable) => variable.startsWith('TERM='));
  return {
    tty: true,
    ...(named ? {} : { env: [Buffer.from('TERM=xterm')] }),
    ...(size === 'unsized' ? {} : { columns: size.columns, rows: size.rows }),
  };
}
