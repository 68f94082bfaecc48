/**
 * Who may call what: identity from the peer's certificate, role table, revocation, and how many calls at a time.
 *
 * For: both engines of server.ts. Trusts: the CA given in the options, and the role table. A method that is not in
 * the table cannot be served.
 */
import type { X509Certificate } from 'node:crypto';
import { ensure } from '../../crypto/error.ts';
import { CertificateVerifier, type Identity } from '../../crypto/identity/certificate.ts';
import type { ServerOptions } from './server.ts';

const CONCURRENT_CALLS_MAX = 4096;
const CALL_DURATION_MS_MAX = 600_000;

/** The peer of one connection, whose certificate TLS accepted. */
export interface TlsPeer {
  readonly leaf: X509Certificate;
  /** Once it has been read: it does not change while the connection lasts. */
  identity: Identity | undefined;
}

/** What an engine needs to admit a call. */
export interface Admission {
  readonly now: () => number;
  readonly callDurationMsMax: number;
  readonly onInternalError: (method: string, error: unknown) => void;
  /**
   * Throws unless the peer may call the method. Certificate: DER, already accepted by TLS. With `peer`, the same
   * certificate, nothing that TLS has checked is checked again, provided that TLS trusts the same CA and no other.
   */
  authorise(method: string, certificate: Uint8Array | undefined, peer?: TlsPeer): Identity | undefined;
  /** Takes one of the places for calls, or throws UNAVAILABLE; the function gives it back, once. */
  enter(): () => void;
}

export type AdmissionOptions = Pick<
  ServerOptions,
  'caPem' | 'authorise' | 'isRevoked' | 'concurrentCallsMax' | 'callDurationMsMax' | 'now' | 'onInternalError'
> & {
  /** What TLS checks client certificates against, PEM, where that is known. */
  readonly tlsCaPem?: string | undefined;
};

export function createAdmission(options: AdmissionOptions): Admission {
  const verifier = new CertificateVerifier(options.caPem);
  const now = options.now ?? Date.now;
  const callsMax = options.concurrentCallsMax ?? CONCURRENT_CALLS_MAX;
  let calls = 0;
  const tlsChecksSignatures = options.tlsCaPem !== undefined && verifier.isOnlyCa(options.tlsCaPem);
  const identify = (certificate: Uint8Array, peer: TlsPeer | undefined): Identity => {
    if (peer && tlsChecksSignatures) peer.identity ??= verifier.readTlsPeer(peer.leaf);
    const known = tlsChecksSignatures ? peer?.identity : undefined;
    const identity = known ? verifier.requireValid(known, now()) : verifier.verify(certificate, now());
    ensure(!options.isRevoked(identity.serial), 'CERTIFICATE_REVOKED', 'certificate is revoked: enrol again');
    return identity;
  };
  return {
    now,
    callDurationMsMax: options.callDurationMsMax ?? CALL_DURATION_MS_MAX,
    onInternalError: options.onInternalError ?? (() => {}),
    authorise(method, certificate, peer) {
      const allowed = options.authorise[method];
      const identity = certificate ? identify(certificate, peer) : undefined;
      if (allowed !== 'anyone') {
        ensure(identity, 'UNAUTHENTICATED', 'a certificate from the registrar is required: enrol first');
        const fits = allowed?.includes(identity.role) ?? false;
        ensure(fits, 'WRONG_ROLE', `role ${identity.role} may not call ${method}`);
      }
      return identity;
    },
    enter() {
      ensure(calls < callsMax, 'UNAVAILABLE', 'too many calls at a time: try again later');
      calls++;
      let released = false;
      return () => {
        if (!released) calls--;
        released = true;
      };
    },
  };
}

/** Throws CONFIG_INVALID when the role table and the served methods differ. */
export function checkAuthorisation(authorise: ServerOptions['authorise'], served: readonly string[]): void {
  for (const method of served) {
    ensure(Object.hasOwn(authorise, method), 'CONFIG_INVALID', `no role list for ${method}`);
  }
  for (const method of Object.keys(authorise)) {
    ensure(served.includes(method), 'CONFIG_INVALID', `role list for ${method}, which is not served`);
  }
}
