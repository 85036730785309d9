import { playOf } from './contract/programs.fixture.ts';
import type { RuntimeMachine } from './contract/runtime-bench.fixture.ts';
import { FakeMachine } from './machine.fake.ts';
import { FakeRuntime } from './runtime.fake.ts';
import { runtimeContract } from './runtime.contract.ts';

runtimeContract('FakeRuntime', async (): Promise<RuntimeMachine> => {
  const machine = new FakeMachine();
  machine.programs = playOf;
  let current: FakeRuntime;
  const podOf = (pid: number): string => {
    const found = [...machine.pods].find(([, { process }]) => process.shimPid === pid || process.pausePid === pid);
    if (!found) throw new Error(`process ${pid} is not there`);
    return found[0];
  };
  return {
    open: async () => (current = new FakeRuntime(machine)),
    group: '/berth',
    pod: async () => ({ network: 'pod' }),
    container: () => ({
      rootfs: { layersDirectory: '/', lowers: [], upper: '/u', work: '/w', readonly: false, volumes: [] },
      logPath: '',
    }),
    log: (id) => machine.container(id)?.program?.stdout ?? '',
    killShim: ({ shimPid }) => machine.loseShim(podOf(shimPid)),
    killPause: ({ pausePid }) => machine.endPause(podOf(pausePid)),
    stopShim: ({ shimPid }) => {
      const podId = podOf(shimPid);
      const stopped = Promise.withResolvers<void>();
      machine.stopped.set(podId, stopped);
      return {
        [Symbol.dispose]: () => {
          machine.stopped.delete(podId);
          stopped.resolve();
        },
      };
    },
    listen: async (_bench, _container, port) => {
      const { listeners } = current.streams;
      listeners.set(port, (socket) => socket.end('HTTP/1.0 200 OK\r\n\r\n'));
      return { [Symbol.asyncDispose]: async () => void listeners.delete(port) };
    },
    cleanUp: async () => {
      const { pods, groups, documents, openNamespaces } = machine;
      const left = [pods.size, groups.size, documents.size, openNamespaces.size];
      if (left.some((count) => count > 0)) throw new Error(`the suite left ${left.join()} things behind`);
    },
  };
});
