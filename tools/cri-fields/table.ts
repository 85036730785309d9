import { tell, type FieldSection, type Told } from '../field-rows/row.ts';
import { requestFields, type RequestField } from './request-fields.ts';
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

export const nameOf = ({ call, path }: Pick<RequestField, 'call' | 'path'>): string => `${call} ${path}`;

export const telling = tell(requestFields(), fieldTable, nameOf);

export type ToldField = Told<RequestField>;
