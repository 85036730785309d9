import { confinementTests } from './confinement.fixture.ts';
import { containerTests } from './containers.fixture.ts';
import type { FieldTests } from './field-test.fixture.ts';
import { otherTests } from './others.fixture.ts';
import { podTests } from './pods.fixture.ts';

/** By the names that rows have for them. */
export const fieldTests: FieldTests = { ...podTests, ...containerTests, ...confinementTests, ...otherTests };
