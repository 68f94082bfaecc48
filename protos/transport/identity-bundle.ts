/**
 * Everything a role needs to act under its name: certificate, keys, the CA it trusts.
 *
 * For: enrol.ts (makes it), identity-store.ts and client/vault (keep it sealed), every role (uses it). Trusts: the
 * sealed file it comes from; still parsed strictly, because sealed files travel. Holds secrets: never log it.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import * as z from 'zod';
import { fromBase64, fromUtf8, toBase64, utf8 } from '../../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import { CertificateVerifier, certificateDer, type Role, roles } from '../../crypto/identity/certificate.ts';
import type { KeyPair, SuiteName } from '../../crypto/identity/suite.ts';

export interface IdentityBundle {
  readonly role: Role;
  readonly suite: SuiteName;
  readonly subjectId: string;
  readonly serial: string;
  readonly notAfterMs: number;
  readonly caPem: string;
  readonly certPem: string;
  /** DER of `certPem`: what goes into messages. */
  readonly certificate: Uint8Array;
  readonly tlsKeyPem: string;
  readonly signing: KeyPair;
  readonly sealing: KeyPair;
}

const BUNDLE_BYTES_MAX = 16_384;

/** Builds a bundle from its parts. Throws what `verify` throws, or BAD_SIGNATURE when the keys are not the certificate's. */
export function assembleBundle(parts: {
  readonly caPem: string;
  readonly certPem: string;
  readonly tlsKeyPem: string;
  readonly signing: KeyPair;
  readonly sealing: KeyPair;
}): IdentityBundle {
  const { caPem, certPem, tlsKeyPem, signing, sealing } = parts;
  const certificate = certificateDer(certPem);
  // Without a time: an expired bundle still opens, so that its owner can see that it must enrol again.
  const identity = new CertificateVerifier(caPem).readOwn(certificate);
  const fits =
    Buffer.compare(identity.signingPublicKey, signing.publicKey) === 0 &&
    identity.sealingPublicKey !== undefined &&
    Buffer.compare(identity.sealingPublicKey, sealing.publicKey) === 0;
  ensure(
    fits && ownsTlsKey(certPem, tlsKeyPem),
    'BAD_SIGNATURE',
    'the certificate is for other keys than these',
  );
  const { role, suite, subjectId, serial, notAfterMs } = identity;
  return {
    role,
    suite,
    subjectId,
    serial,
    notAfterMs,
    caPem,
    certPem,
    certificate,
    tlsKeyPem,
    signing,
    sealing,
  };
}

function ownsTlsKey(certPem: string, tlsKeyPem: string): boolean {
  try {
    return new X509Certificate(certPem).checkPrivateKey(createPrivateKey(tlsKeyPem));
  } catch {
    return false;
  }
}

const base64 = z
  .string()
  .max(256)
  .regex(/^[A-Za-z0-9+/]+={0,2}$/);
const pem = z.string().max(8192).startsWith('-----BEGIN ');
const keyPair = z.strictObject({ publicKey: base64, secretKey: base64 });
const schema = z.strictObject({
  version: z.literal(1),
  role: z.enum(roles as [Role, ...Role[]]),
  caPem: pem,
  certPem: pem,
  tlsKeyPem: pem,
  signing: keyPair,
  sealing: keyPair,
});

const encodePair = (pair: KeyPair) => ({
  publicKey: toBase64(pair.publicKey),
  secretKey: toBase64(pair.secretKey),
});
const decodePair = (pair: z.infer<typeof keyPair>): KeyPair => ({
  publicKey: fromBase64(pair.publicKey),
  secretKey: fromBase64(pair.secretKey),
});

/** Plaintext for a sealed file; never written as it is. */
export function encodeBundle(bundle: IdentityBundle): Uint8Array {
  const { role, caPem, certPem, tlsKeyPem } = bundle;
  const signing = encodePair(bundle.signing);
  const sealing = encodePair(bundle.sealing);
  return utf8(JSON.stringify({ version: 1, role, caPem, certPem, tlsKeyPem, signing, sealing }));
}

/** Throws MALFORMED_MESSAGE, CERTIFICATE_UNTRUSTED or BAD_SIGNATURE. */
export function decodeBundle(bytes: Uint8Array): IdentityBundle {
  ensure(bytes.length <= BUNDLE_BYTES_MAX, 'MALFORMED_MESSAGE', 'identity bundle longer than 16 KiB');
  let json: unknown;
  try {
    json = JSON.parse(fromUtf8(bytes));
  } catch {
    // The parser's own error quotes its input, which holds secrets.
    throw new PulsefoldError('MALFORMED_MESSAGE', 'identity bundle is not JSON');
  }
  const parsed = schema.safeParse(json);
  ensure(parsed.success, 'MALFORMED_MESSAGE', 'identity bundle with missing or unknown fields');
  const { caPem, certPem, tlsKeyPem, signing, sealing, role } = parsed.data;
  const pairs = { signing: decodePair(signing), sealing: decodePair(sealing) };
  const bundle = assembleBundle({ caPem, certPem, tlsKeyPem, ...pairs });
  ensure(bundle.role === role, 'MALFORMED_MESSAGE', 'identity bundle of another role');
  return bundle;
}
