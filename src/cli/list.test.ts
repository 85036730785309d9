import { expect, test } from '@jest/globals';
import { shownPods } from './list.ts';

const pods = [
  { id: 'ready', state: 'SANDBOX_READY' },
  { id: 'lost', state: 'SANDBOX_NOTREADY' },
  { id: 'ended', state: 'SANDBOX_NOTREADY' },
] as const;
const containers = [
  { pod_sandbox_id: 'ready', state: 'CONTAINER_EXITED' },
  { pod_sandbox_id: 'lost', state: 'CONTAINER_RUNNING' },
  { pod_sandbox_id: 'lost', state: 'CONTAINER_EXITED' },
  { pod_sandbox_id: 'ended', state: 'CONTAINER_EXITED' },
] as const;
const shown = (all: boolean): string[] =>
  shownPods(pods, containers, all).map(({ pod, containers: inside }) => `${pod.id} ${inside.length}`);

test('what runs is shown, also in a pod that is not ready', () => {
  expect(shown(false)).toEqual(['ready 0', 'lost 1']);
});

test('with all, everything is', () => {
  expect(shown(true)).toEqual(['ready 1', 'lost 2', 'ended 1']);
});
