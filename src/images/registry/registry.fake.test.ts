import { registryContract } from './registry.contract.ts';
import { FakeRegistry } from './registry.fake.ts';

registryContract('fake', async () => {
  const registry = new FakeRegistry();
  return {
    registry,
    domain: 'registry.test',
    add: (image) => registry.add(image),
    cleanUp: () => registry.close(),
  };
});
