import type { Clock } from '#base/clock';
import type { ImageStore } from '#images/image-store';

/** What the handlers of the image service need. */
export interface ImageServiceDeps {
  readonly images: ImageStore;
  readonly clock: Clock;
}
