import { registryConfig } from './registry-config.fixture.ts';
import { RegistryDouble } from './registry-double.fixture.ts';
import { registryContract } from './registry.contract.ts';
import { RemoteRegistry } from './remote-registry.ts';

registryContract('remote', async () => {
  const double = await RegistryDouble.start();
  const registry = new RemoteRegistry({ config: registryConfig({ plainHttp: [double.host] }) });
  return {
    registry,
    domain: double.host,
    add: (image) => double.add(image),
    cleanUp: async () => {
      await registry.close();
      await double[Symbol.asyncDispose]();
    },
  };
});
