import { expect, test } from '@jest/globals';
import { reasonsOf, shownPods } from './list.ts';

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

test('why something ended is said in one word with its exit code, and that a shim is silent', () => {
  const container = { state: 'exited', reason: 'OOMKilled', exitCode: 137 };
  const pods = [
    {
      ...{ id: 'p', reason: 'StopFailed', silent: true },
      containers: [
        { id: 'a', ...container },
        { id: 'b', ...container, reason: 'Completed', exitCode: 0 },
        { id: 'c', ...container, state: 'running', reason: '', exitCode: 0 },
      ],
    },
    // Of an earlier version.
    { id: 'q', containers: [{ id: 'd', state: 'exited' }] },
  ];
  expect(Object.fromEntries(reasonsOf(pods))).toEqual({
    ...{ p: 'StopFailed, shim does not answer', a: 'OOMKilled (137)', b: 'Completed (0)', c: '' },
    ...{ q: '', d: '' },
  });
});
