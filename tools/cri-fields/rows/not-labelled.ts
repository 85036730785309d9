import { refused, type Refused } from '../../field-rows/row.ts';

/** Of the options of SELinux; `value` where not every one would do. */
export function notLabelled(value?: string): Refused {
  return refused('FAILED_PRECONDITION', 'SELinux is active on this node: Berth cannot label containers yet', {
    when:
      'where SELinux is active and it is not privileged; ignored elsewhere' +
      (value === undefined ? '' : ', and refused (INVALID_ARGUMENT) only if it is no level'),
    ...(value !== undefined && { value }),
  });
}
