import { BerthError } from '#base/errors';
import type { StreamUrls } from './offers.ts';

/** Where `streaming.address` is "". */
export const noStreams: StreamUrls = {
  urlOf: ({ kind }) => {
    throw new BerthError('FAILED_PRECONDITION', `${kind} is switched off: streaming.address is "" in the config`);
  },
};
