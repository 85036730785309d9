import { createInterface } from 'node:readline/promises';
import { BerthError } from '#base/errors';
import type { AdminLine } from './admin-client.ts';
import { amounts, PullView, type PullLine } from './pull-view.ts';
import type { Session } from './session.ts';
import { bytes, table } from './table.ts';

export interface PullOptions {
  readonly user?: string;
}

/** Pulls an image and shows how far it is; Ctrl-C ends the pull unless somebody else waits for it as well. */
export async function pullImage(session: Session, reference: string, options: PullOptions): Promise<void> {
  const id = await pull(session, { reference, ...(await credentials(options.user)) });
  session.print(id);
}

/** @returns the image's id */
export async function pull(
  session: Session,
  request: { readonly reference: string; readonly username?: string; readonly password?: string },
): Promise<string> {
  const { stderr } = process;
  const view = new PullView({
    write: (text) => void stderr.write(text),
    terminal: session.terminal,
    size: () => ({ rows: stderr.rows || 24, columns: stderr.columns || 80 }),
  });
  try {
    const last = await session.admin.call('POST', '/images/pull', request, (line) => {
      if (line['pull'] !== undefined) view.show(line['pull'] as PullLine);
    });
    return idOf(last);
  } finally {
    view.end();
  }
}

/** What is pulled just now. */
export async function listPulls(session: Session): Promise<void> {
  const { pulls } = await session.admin.call('GET', '/pulls');
  if (!Array.isArray(pulls)) throw new BerthError('INTERNAL', 'berthd answered /pulls without a list');
  const rows = (pulls as readonly PullLine[]).map((line) => {
    const { done, total } = amounts(line);
    const layers = line.layers.filter(({ state }) => state === 'done' || state === 'present').length;
    const seconds = Math.max(0, Math.round((Date.now() - Date.parse(line.startedAt)) / 1000));
    return [
      ...[line.reference, line.stage, `${layers} of ${line.layers.length}`, `${bytes(done)} of ${bytes(total)}`],
      ...[`${seconds} s`, String(line.waiters)],
    ];
  });
  session.print(table([['IMAGE', 'STAGE', 'LAYERS', 'BYTES', 'SINCE', 'WAITERS'], ...rows]));
}

/** NAME:PASSWORD; of a NAME alone the password is the first line of the input, so that nobody finds it in `ps`. */
async function credentials(user: string | undefined): Promise<{ username?: string; password?: string }> {
  if (user === undefined) return {};
  const colon = user.indexOf(':');
  if (colon >= 0) return { username: user.slice(0, colon), password: user.slice(colon + 1) };
  if (process.stdin.isTTY) {
    throw new BerthError(
      'INVALID_ARGUMENT',
      `--user ${user}: give the password as the input, or as --user NAME:PASSWORD`,
    );
  }
  const lines = createInterface({ input: process.stdin });
  for await (const password of lines) return { username: user, password };
  throw new BerthError('INVALID_ARGUMENT', `--user ${user}: the input holds no password`);
}

function idOf(last: AdminLine): string {
  const [image] = Array.isArray(last['images']) ? (last['images'] as readonly { readonly id?: string }[]) : [];
  if (image?.id === undefined) throw new BerthError('INTERNAL', 'berthd answered /images/pull without an image');
  return image.id;
}
