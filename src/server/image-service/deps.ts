import type { Clock } from '#base/clock';
import type { ImageStore } from '#images/image-store';

/** What the handlers of the image service need. */
export interface ImageServiceDeps {
  readonly images: ImageStore;
  readonly clock: Clock;
  /** Handlers an image may be wanted for; "" is the default one. */
  readonly runtimeHandlers: readonly string[];
}
