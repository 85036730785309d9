import { didYouMeanOneOf } from '#base/nearest-name';
import { describeConfig } from './describe.ts';

/** ": did you mean network.bridge?" for a key that is nearly one, else "". */
export function didYouMean(unknown: string): string {
  const names = describeConfig().flatMap(({ group, keys }) =>
    group === '' ? keys.map(({ key }) => key) : [group, ...keys.map(({ key }) => `${group}.${key}`)],
  );
  return didYouMeanOneOf(unknown, names);
}
