import path from 'node:path';
import { ExitWith } from './failure.ts';
import type { Session } from './session.ts';
import { bytes } from './table.ts';

// The commands about the node: image files, check, info, version.

interface Progress {
  readonly layer?: string;
  readonly bytes?: number;
  readonly total?: number;
}

const barWidth = 30;

/** Loads an image archive; on a terminal with a bar for the layer in hand. */
export async function loadImage(session: Session, file: string, options: { readonly tag?: string }): Promise<void> {
  const body = { path: path.resolve(file), ...(options.tag === undefined ? {} : { reference: options.tag }) };
  let drawn = false;
  const last = await session.admin.call('POST', '/images/load', body, (line) => {
    const progress = line['progress'] as Progress | undefined;
    if (!session.terminal || progress === undefined) return;
    process.stderr.write(`\r\x1b[K${bar(progress)}`);
    drawn = true;
  });
  if (drawn) process.stderr.write('\r\x1b[K');
  const images = Array.isArray(last['images']) ? (last['images'] as unknown[]) : [];
  for (const image of images) session.print(`loaded ${nameOf(image)}`);
}

export function bar({ layer = '', bytes: done = 0, total = 0 }: Progress): string {
  const share = total > 0 ? Math.min(1, done / total) : 0;
  const filled = Math.round(share * barWidth);
  const name = layer.replace(/^sha256:/, '').slice(0, 13);
  return `${name} [${'#'.repeat(filled)}${'-'.repeat(barWidth - filled)}] ${bytes(done)} of ${bytes(total)}`;
}

function nameOf(image: unknown): string {
  const { id = '', repoTags = [] } = image as { readonly id?: string; readonly repoTags?: readonly string[] };
  return [...repoTags, id].join(' ');
}

/** Lists what berthd does not own, one a line; exit code 1 when there is anything. What it forgets goes to stderr. */
export async function check(session: Session, options: { readonly forget?: boolean } = {}): Promise<void> {
  if (options.forget === true) {
    const { forgotten } = await session.admin.call('POST', '/check/forget', {});
    // An older berthd answers `true`.
    if (Array.isArray(forgotten)) for (const line of forgotten) session.note(`deleted or forgotten: ${line}`);
  }
  const strays = await session.admin.check();
  for (const stray of strays) session.print(stray);
  if (strays.length > 0) throw new ExitWith(1);
  session.note('nothing is left over');
}

export async function info(session: Session): Promise<void> {
  const [version, status, config] = await Promise.all([
    session.cri.runtime.version({}),
    session.cri.runtime.status({ verbose: true }),
    session.admin.call('GET', '/config'),
  ]);
  session.print(JSON.stringify({ version, status, config: config['config'] ?? config }, null, 2));
}

export async function version(session: Session, own: string): Promise<void> {
  session.print(`berth    ${own}`);
  const reply = await session.cri.runtime.version({});
  session.print(`berthd   ${reply.runtime_version}\nCRI      ${reply.runtime_api_version}`);
}
