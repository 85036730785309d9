import type { Clock } from '#base/clock';
import type { ImageStore } from '#images/image-store';

/** What the handlers of the image service need. */
export interface ImageServiceDeps {
  readonly images: ImageStore;
  readonly clock: Clock;
  /** What lies in all containers' writable layers together. */
  readonly writableLayers: () => { readonly bytes: bigint; readonly inodes: bigint };
  /** Handlers an image may be wanted for; "" is the default one. */
  readonly runtimeHandlers: readonly string[];
}
