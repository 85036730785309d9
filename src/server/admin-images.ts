import type { Ctx } from '#base/ctx';
import { sleep } from '#base/deadline';
import { BerthError } from '#base/errors';
import type { Image, LoadProgress, PullStatus } from '#images/image-store';
import type { RegistryCredentials } from '#images/registry/registry';
import type { AdminActions } from './admin-actions.ts';
import type { JsonBody } from './json-body.ts';
import type { JsonLines } from './json-lines.ts';

const followMs = 500;

/** Lines `{"progress":…}`, then `{"images":[…]}`. */
export async function loadImage(ctx: Ctx, body: JsonBody, lines: JsonLines, actions: AdminActions): Promise<void> {
  const path = textOf(body, 'path');
  const reference = textOf(body, 'reference');
  if (!path.startsWith('/')) throw new BerthError('INVALID_ARGUMENT', '"path" has to be an absolute path');
  const images = await actions.loadImage(ctx, {
    path,
    ...(reference !== '' && { reference }),
    onProgress: (progress: LoadProgress) => lines.writeIfRead({ progress }),
  });
  lines.write({ images: images.map(toLine) });
}

/** Lines `{"pull":…}` with what `GET /pulls` has of this one, then `{"images":[…]}` with the one image. */
export async function pullImage(ctx: Ctx, body: JsonBody, lines: JsonLines, actions: AdminActions): Promise<void> {
  const reference = textOf(body, 'reference');
  if (reference === '') throw new BerthError('INVALID_ARGUMENT', '"reference" has to be the name of an image');
  const credentials = credentialsOf(body);
  const image = await actions.pullImage(ctx, {
    reference,
    ...(credentials && { credentials }),
    onProgress: (pull: PullStatus) => lines.writeIfRead({ pull }),
  });
  lines.write({ images: [toLine(image)] });
}

/** `{"pulls":[…]}` now and whenever half a second has passed, until the caller leaves. */
export async function followPulls(ctx: Ctx, _body: JsonBody, lines: JsonLines, actions: AdminActions): Promise<void> {
  while (!ctx.signal.aborted) {
    lines.writeIfRead({ pulls: actions.pulls() });
    // Leaving is how this ends.
    await sleep(followMs, ctx.signal).catch(() => undefined);
  }
}

function toLine({ id, repoTags, repoDigests }: Image): object {
  return { id, repoTags, repoDigests };
}

function credentialsOf(body: JsonBody): RegistryCredentials | undefined {
  const username = textOf(body, 'username');
  const password = textOf(body, 'password');
  if (username === '' && password === '') return undefined;
  return { username, password, auth: '', serverAddress: '', identityToken: '', registryToken: '' };
}

/** Missing: "". */
function textOf(body: JsonBody, key: string): string {
  const value = body[key] ?? '';
  if (typeof value !== 'string') throw new BerthError('INVALID_ARGUMENT', `"${key}" has to be text`);
  return value;
}
