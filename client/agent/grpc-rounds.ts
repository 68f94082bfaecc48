/**
 * The Rounds port over gRPC with mutual TLS 1.3, under the device's own certificate.
 *
 * Trusts: the registrar's CA for who the coordinator is; replies go back unparsed (replies.ts). Repeating is the
 * agent's business (clock.ts), so each call here is one attempt. May be called by: client/.
 */
import { openClient } from '../../protos/transport/channel.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import { channelCredentials } from '../../protos/transport/tls.ts';
import type { RoundsTransport } from './transport.ts';

const CALL_DEADLINE_MS = 30_000;

/** `address`: `host:port`. Connects with the first call. Aborting `signal` cancels calls under way. */
export function openRounds(address: string, identity: IdentityBundle, signal?: AbortSignal): RoundsTransport {
  const credentials = channelCredentials({
    caPem: identity.caPem,
    certPem: identity.certPem,
    keyPem: identity.tlsKeyPem,
    server: { role: 'coordinator' },
  });
  const client = openClient({ service: 'Rounds', address, credentials });
  const call = (method: string, request: object, deadlineMs = CALL_DEADLINE_MS): Promise<unknown> =>
    client.call(method, request, { deadlineMs, ...(signal ? { signal } : {}) });
  return {
    getPlan: () => call('getPlan', {}),
    checkIn: (request) => call('checkIn', request, request.waitMs + CALL_DEADLINE_MS),
    getBlob: (request) => call('getBlob', request),
    getUploadState: (request) => call('getUploadState', request),
    putUpload: (request) => call('putUpload', request),
    getReceipt: (request) => call('getReceipt', request),
    withdraw: (request) => call('withdraw', request),
    consent: (request) => call('consent', request),
    subjectAccess: (request) => call('subjectAccess', request),
    eraseDevice: (request) => call('eraseDevice', request),
    close: () => client.close(),
  };
}
