import type { Ctx } from '#base/ctx';
import { BerthError } from '#base/errors';
import type { AdminActions } from './admin-actions.ts';
import { followPulls, loadImage, pullImage } from './admin-images.ts';
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
  { method: 'POST', path: '/images/pull', answer: pullImage },
  { method: 'GET', path: '/pulls', answer: (_ctx, _body, lines, actions) => lines.write({ pulls: actions.pulls() }) },
  { method: 'GET', path: '/pulls/follow', answer: followPulls },
  {
    method: 'GET',
    path: '/check',
    answer: async (ctx, _body, lines, actions) => lines.write({ strays: await actions.strays(ctx) }),
  },
  {
    method: 'POST',
    path: '/check/forget',
    answer: async (ctx, _body, lines, actions) => lines.write({ forgotten: await actions.forget(ctx) }),
  },
  {
    method: 'GET',
    path: '/config',
    beforeReady: true,
    answer: (_ctx, _body, lines, actions) => lines.write({ config: actions.config(), reload: actions.lastReload() }),
  },
  {
    method: 'POST',
    path: '/config/reload',
    beforeReady: true,
    answer: (_ctx, _body, lines, actions) => lines.write({ reload: actions.reloadConfig() }),
  },
  {
    method: 'GET',
    path: '/pods',
    answer: async (ctx, _body, lines, actions) => lines.write({ pods: await actions.pods(ctx) }),
  },
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

async function shutdown(ctx: Ctx, body: JsonBody, lines: JsonLines, actions: AdminActions): Promise<void> {
  const removeAll = body['removeAll'] ?? false;
  if (typeof removeAll !== 'boolean') throw new BerthError('INVALID_ARGUMENT', '"removeAll" has to be true or false');
  if (removeAll) await actions.removeAll(ctx);
  // Whoever wants to know when it has ended looks for this process.
  lines.write({ stopping: true, pid: process.pid });
}
