/**
 * TLS for every role: version 1.3 only, both sides pinned to the registrar's CA.
 *
 * For: server.ts, channel.ts. Trusts: the CA given by the caller, and only that one; the system's roots are not used.
 * Importing this file raises the process' minimum TLS version, because grpc-js offers no option for servers.
 */
import { isIP } from 'node:net';
import tls from 'node:tls';
import { ChannelCredentials, logVerbosity, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';
import { ensure } from '../../crypto/error.ts';
import type { Role } from '../../crypto/identity/certificate.ts';
import { CertificateVerifier } from '../../crypto/identity/certificate.ts';

tls.DEFAULT_MIN_VERSION = 'TLSv1.3';
// grpc-js prints to stderr on its own; failures reach the caller as coded errors instead.
if (process.env.GRPC_VERBOSITY === undefined) setLogVerbosity(logVerbosity.NONE);

/** Throws CONFIG_INVALID when something in the process lowered the minimum (a flag, another module). */
export function assertTls13(): void {
  const enforced = tls.DEFAULT_MIN_VERSION === 'TLSv1.3' && tls.DEFAULT_MAX_VERSION === 'TLSv1.3';
  ensure(
    enforced,
    'CONFIG_INVALID',
    'TLS 1.3 is required: do not start node with --tls-min or --tls-max flags',
  );
}

export interface TlsIdentity {
  readonly certPem: string;
  readonly keyPem: string;
}

/** Credentials of a server. With `requireClientCertificate` a peer without a valid certificate ends in the handshake. */
export function serverCredentials(
  options: TlsIdentity & { readonly caPem: string; readonly requireClientCertificate: boolean },
): ServerCredentials {
  assertTls13();
  return ServerCredentials.createSsl(
    Buffer.from(options.caPem),
    [{ cert_chain: Buffer.from(options.certPem), private_key: Buffer.from(options.keyPem) }],
    options.requireClientCertificate,
  );
}

/**
 * The TLS server name for a host. RFC 6066 §3 allows no IP addresses there, so an address becomes a name under the
 * reserved `.invalid`, which `channelCredentials` turns back before it compares it with the certificate.
 */
export function serverNameOf(host: string): string {
  const version = isIP(host);
  return version === 0 ? host : `x${host.replaceAll(version === 4 ? '.' : ':', '-')}.ip${version}.invalid`;
}

function hostOfServerName(name: string): string {
  const match = /^x([0-9a-f-]+)\.ip([46])\.invalid$/.exec(name);
  return match ? match[1]!.replaceAll('-', match[2] === '4' ? '.' : ':') : name;
}

/** Who the server must be. Without it any certificate of the CA with a fitting host name would do. */
export interface ExpectedServer {
  readonly role: Role;
  /** When known: the subject id, so that one key holder cannot stand in for another. */
  readonly subjectId?: string;
}

/** Credentials of a client; without `certPem` only Enrol can be called. */
export function channelCredentials(
  options: Partial<TlsIdentity> & {
    readonly caPem: string;
    readonly server: ExpectedServer;
    readonly now?: () => number;
  },
): ChannelCredentials {
  assertTls13();
  const verifier = new CertificateVerifier(options.caPem);
  const now = options.now ?? Date.now;
  const secureContext = tls.createSecureContext({
    ca: options.caPem,
    minVersion: 'TLSv1.3',
    ...(options.certPem && options.keyPem ? { cert: options.certPem, key: options.keyPem } : {}),
  });
  return ChannelCredentials.createFromSecureContext(secureContext, {
    checkServerIdentity(name, certificate) {
      const mismatch = tls.checkServerIdentity(hostOfServerName(name), certificate);
      if (mismatch) return mismatch;
      try {
        const identity = verifier.verify(new Uint8Array(certificate.raw), now());
        if (identity.role !== options.server.role)
          return new Error(`the server is not a ${options.server.role}`);
        const wanted = options.server.subjectId ?? identity.subjectId;
        return identity.subjectId === wanted ? undefined : new Error(`the server is not ${wanted}`);
      } catch (error) {
        return error instanceof Error ? error : new Error('server certificate refused');
      }
    },
  });
}
