import { expect, test } from '@jest/globals';
import { loggedIds } from './logged-ids.ts';

test('names what a call is about', () => {
  expect(loggedIds({ pod_sandbox_id: 'p', container_id: 'c', timeout: '1' })).toEqual({ podId: 'p', containerId: 'c' });
  expect(loggedIds({ config: { metadata: { name: 'web', namespace: 'shop' } } })).toEqual({ name: 'shop/web' });
  expect(loggedIds({ config: { metadata: { name: 'app' } }, pod_sandbox_id: 'p' })).toEqual({
    name: 'app',
    podId: 'p',
  });
  expect(loggedIds({ image: { image: 'a:1' } })).toEqual({ image: 'a:1' });
});

test('says nothing of what is empty, missing or of another kind', () => {
  expect(loggedIds({ pod_sandbox_id: '', container_id: 7, image: null, config: null })).toEqual({});
});

test('what a caller calls an id is bounded', () => {
  expect(loggedIds({ container_id: 'x'.repeat(5000) })['containerId']).toHaveLength(256);
});
