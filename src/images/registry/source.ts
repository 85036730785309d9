import type { RegistryConfig } from '#config/slices';
import type { Reference } from '../reference.ts';
import type { Call } from './attempts.ts';
import type { AuthFiles } from './auth-files.ts';
import { isFor, loginOf, type Login } from './credentials.ts';
import type { Endpoint } from './endpoint.ts';
import type { Endpoints } from './endpoints.ts';
import type { Exchange } from './exchange.ts';
import type { RegistryCredentials } from './registry.ts';

/** What of one pull outlives `resolve`: plain data, so that it can go from thread to thread. */
export interface Session {
  readonly reference: Reference;
  readonly credentials?: RegistryCredentials | undefined;
  readonly config: RegistryConfig;
}

/** Where an image comes from, and who we are there. */
export interface Source extends Session {
  readonly endpoints: readonly Endpoint[];
  readonly exchange: Exchange;
  readonly backOffMs: number;
  /** Credentials for one of the endpoints. */
  login(endpoint: Endpoint): Promise<Login | undefined>;
}

export interface SourceParts {
  readonly endpoints: Endpoints;
  readonly authFiles: AuthFiles;
  readonly exchange: Exchange;
  readonly backOffMs: number;
}

/** @throws CONFIG_INVALID, PERMISSION_DENIED (blocked), INVALID_ARGUMENT (credentials that cannot be read) */
export async function openSource(call: Call, parts: SourceParts, session: Session): Promise<Source> {
  const { reference, credentials, config } = session;
  const called = credentials && loginOf(credentials);
  const endpoints = await parts.endpoints.find(config, reference, (found) => call.unknownKeys(found));
  const login = async (endpoint: Endpoint): Promise<Login | undefined> => {
    if (called && isMeantFor(credentials, endpoint, reference.domain)) return called;
    // The owner may have written the name that images have, or that of the host behind it.
    const { host, repository } = endpoint;
    return await parts.authFiles.find(config.authFiles, host, repository);
  };
  return { ...session, endpoints, exchange: parts.exchange, backOffMs: parts.backOffMs, login };
}

/**
 * The call's credentials are for the registry of the image's name. A mirror gets them only if they name it: it is another
 * host, often somebody else's.
 */
function isMeantFor(credentials: RegistryCredentials, endpoint: Endpoint, domain: string): boolean {
  const { serverAddress } = credentials;
  if (endpoint.primary) return isFor(serverAddress, domain) || isFor(serverAddress, endpoint.host);
  return serverAddress !== '' && isFor(serverAddress, endpoint.host);
}
