import type { CriUnderTest } from '../cri-under-test.fixture.ts';
import type { RequestField } from '../request-fields.ts';

/**
 * Fails where the field is not done. One test is of several fields as a rule; some ask by `field` which one it is, or by
 * which call it came.
 */
export type FieldTest = (cri: CriUnderTest, field: RequestField) => Promise<void>;

export type FieldTests = Readonly<Record<string, FieldTest>>;
