// Two projects: unit tests beside the code (no root, no network), and e2e, which drives a built daemon as root.
const shared = {
  rootDir: import.meta.dirname,
  transform: { '\\.ts$': ['@swc/jest'] },
  extensionsToTreatAsEsm: ['.ts'],
  injectGlobals: false,
  testEnvironmentOptions: { customExportConditions: ['berth-src', 'node', 'node-addons'] },
};

export default {
  projects: [
    {
      ...shared,
      displayName: 'unit',
      testMatch: ['<rootDir>/{src,cri-api,tools}/**/*.test.ts'],
      setupFilesAfterEnv: ['<rootDir>/tools/unit-patience.ts'],
    },
    {
      ...shared,
      displayName: 'kubelet',
      testMatch: ['<rootDir>/e2e/kubelet/*.kubelet.test.ts'],
      setupFilesAfterEnv: ['<rootDir>/e2e/harness/patience.ts'],
    },
    {
      ...shared,
      displayName: 'e2e',
      testMatch: ['<rootDir>/e2e/**/*.e2e.test.ts'],
      setupFilesAfterEnv: ['<rootDir>/e2e/harness/patience.ts'],
    },
  ],
};
