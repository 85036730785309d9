import { requestFields } from './request-fields.ts';
import { tell, type FieldSection } from './row.ts';
import { confinementSection } from './rows/confinement.ts';
import { containerSection } from './rows/containers.ts';
import { imageSection } from './rows/images.ts';
import { nodeSection } from './rows/node.ts';
import { podSection } from './rows/pods.ts';

/** What becomes of every field of every request. */
export const fieldTable: readonly FieldSection[] = [
  podSection,
  containerSection,
  confinementSection,
  imageSection,
  nodeSection,
];

export const telling = tell(requestFields(), fieldTable);
