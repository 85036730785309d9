import type { GetEventsRequest__Output } from '#cri-api/gen/runtime/v1/GetEventsRequest';
import type { ContainerEventResponse } from '#cri-api/gen/runtime/v1/ContainerEventResponse';
import type { StreamHandler } from '../handler.ts';
import type { RuntimeServiceDeps } from './deps.ts';
import { toCriEvent } from '../to-cri/event.ts';

export const getContainerEvents: StreamHandler<GetEventsRequest__Output, ContainerEventResponse, RuntimeServiceDeps> =
  async function* (ctx, _request, { sandboxes, images }) {
    using subscription = sandboxes.subscribe();
    const leave = (): void => subscription[Symbol.dispose]();
    ctx.signal.addEventListener('abort', leave, { once: true });
    try {
      for (let event = await subscription.next(); event; event = await subscription.next()) {
        yield toCriEvent(event, images);
      }
    } finally {
      ctx.signal.removeEventListener('abort', leave);
    }
  };
