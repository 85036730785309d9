import type { Ctx } from '#base/ctx';
import { BerthError } from '#base/errors';
import type { LoadProgress } from '#images/image-store';
import type { AdminActions } from './admin-actions.ts';
import type { JsonBody } from './json-body.ts';
import type { JsonLines } from './json-lines.ts';

/** One thing the admin server answers. */
export interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Answered before recovery has ended. */
  readonly beforeReady?: true;
  readonly answer: (ctx: Ctx, body: JsonBody, lines: JsonLines, actions: AdminActions) => Promise<void> | void;
  /** Runs when the answer has been handed to the kernel. */
  readonly afterwards?: (actions: AdminActions) => void;
}

const routes: readonly Route[] = [
  { method: 'POST', path: '/images/load', answer: loadImage },
  {
    method: 'GET',
    path: '/check',
    answer: async (ctx, _body, lines, actions) => lines.write({ strays: await actions.strays(ctx) }),
  },
  {
    method: 'GET',
    path: '/config',
    beforeReady: true,
    answer: (_ctx, _body, lines, actions) => lines.write({ config: actions.config() }),
  },
  { method: 'GET', path: '/pods', answer: (_ctx, _body, lines, actions) => lines.write({ pods: actions.pods() }) },
  {
    method: 'POST',
    path: '/shutdown',
    beforeReady: true,
    answer: shutdown,
    afterwards: (actions) => actions.shutdown(),
  },
];

/** @throws NOT_FOUND */
export function findRoute(method: string | undefined, url: string | undefined): Route {
  const path = url?.split('?', 1)[0];
  const found = routes.find((route) => route.method === method && route.path === path);
  if (found) return found;
  const known = routes.map((route) => `${route.method} ${route.path}`).join(', ');
  throw new BerthError('NOT_FOUND', `there is no ${method ?? ''} ${path ?? ''}; there is ${known}`);
}

async function loadImage(ctx: Ctx, body: JsonBody, lines: JsonLines, actions: AdminActions): Promise<void> {
  const path = body['path'];
  const reference = body['reference'];
  if (typeof path !== 'string' || !path.startsWith('/')) {
    throw new BerthError('INVALID_ARGUMENT', '"path" has to be an absolute path');
  }
  if (reference !== undefined && typeof reference !== 'string') {
    throw new BerthError('INVALID_ARGUMENT', '"reference" has to be text');
  }
  const images = await actions.loadImage(ctx, {
    path,
    ...(reference === undefined || reference === '' ? {} : { reference }),
    onProgress: (progress: LoadProgress) => lines.writeIfRead({ progress }),
  });
  lines.write({ images: images.map((image) => ({ id: image.id, repoTags: image.repoTags })) });
}

async function shutdown(ctx: Ctx, body: JsonBody, lines: JsonLines, actions: AdminActions): Promise<void> {
  const removeAll = body['removeAll'] ?? false;
  if (typeof removeAll !== 'boolean') throw new BerthError('INVALID_ARGUMENT', '"removeAll" has to be true or false');
  if (removeAll) await actions.removeAll(ctx);
  lines.write({ stopping: true });
}
