import { imageStoreContract } from './image-store.contract.ts';
import { FakeImageStore } from './image-store.fake.ts';

imageStoreContract('fake', async () => {
  const store = new FakeImageStore();
  let count = 0;
  return {
    store,
    registry: store.registry,
    archive: async (images) => {
      const path = `/archives/${count++}`;
      store.archives.set(path, images);
      return path;
    },
    cleanUp: async () => undefined,
  };
});
