import type { RegistryConfig } from '#config/slices';

/** A configuration that reads none of this machine's files and loses patience soon. */
export function registryConfig(more: Partial<RegistryConfig> = {}): RegistryConfig {
  return {
    hostsDirectories: [],
    registriesConf: '',
    authFiles: [],
    plainHttp: [],
    minimumBytesPerSecond: 1,
    stallMs: 10_000,
    attempts: 4,
    ...more,
  };
}
