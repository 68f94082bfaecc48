/**
 * A registrar's certificate authority that follows from a seed: its key, its certificate, the certificates it issues.
 *
 * A plan names its registrar by a hash, so a simulation whose figures repeat needs a registrar that repeats: its own
 * certificate is signed by ECDSA P-256 with the nonce of RFC 6979. Those it issues, by the thousand, are signed by
 * node:crypto, 20 times as fast, with fresh nonces: no log and no figure holds them. All are in the profile of
 * crypto/identity/certificate.ts, which checks them like any other's. Anybody who knows the seed is this registrar: for
 * simulations only.
 * Trusts: nobody. May be called by: experiments/simulation.
 */
import { createHash, createPrivateKey, sign } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { concat, fromHex, utf8 } from '../../crypto/bytes.ts';
import { encodeDer, TAG } from '../../crypto/identity/der.ts';
import { encodeIdentityExtension, type SubjectClaims } from '../../crypto/identity/identity.ts';
import { type RandomSource, randomBytes } from '../../crypto/random.ts';

/** Seconds after which the certificates end; RFC 5280 §4.1.2.5. */
const NOT_BEFORE = '20200101000000Z';
const NOT_AFTER = '21000101000000Z';

const oid = (hex: string): Uint8Array => encodeDer(TAG.objectIdentifier, fromHex(hex));
const sequence = (...parts: readonly Uint8Array[]): Uint8Array => encodeDer(TAG.sequence, concat(...parts));
const set = (part: Uint8Array): Uint8Array => encodeDer(0x31, part);
const bits = (bytes: Uint8Array, unused = 0): Uint8Array =>
  encodeDer(0x03, concat(Uint8Array.of(unused), bytes));
const TRUE = encodeDer(TAG.boolean, Uint8Array.of(0xff));

const ECDSA_SHA256 = sequence(oid('2a8648ce3d040302'));
const P256_KEY = sequence(oid('2a8648ce3d0201'), oid('2a8648ce3d030107'));
const IDENTITY = oid('2b0601040183d45f0101');
/** commonName, organizationalUnitName (RFC 5280 §4.1.2.4). */
const [COMMON_NAME, UNIT_NAME] = [oid('550403'), oid('55040b')];

const nameOf = (...attributes: readonly (readonly [Uint8Array, string])[]): Uint8Array =>
  sequence(...attributes.map(([type, value]) => set(sequence(type, encodeDer(TAG.utf8String, utf8(value))))));
/** GeneralizedTime, `YYYYMMDDhhmmssZ`. */
export interface Validity {
  readonly notBefore: string;
  readonly notAfter: string;
}
const LONG: Validity = { notBefore: NOT_BEFORE, notAfter: NOT_AFTER };
const validityOf = ({ notBefore, notAfter }: Validity): Uint8Array =>
  sequence(encodeDer(0x18, utf8(notBefore)), encodeDer(0x18, utf8(notAfter)));

function extension(id: Uint8Array, value: Uint8Array, isCritical: boolean): Uint8Array {
  return sequence(id, ...(isCritical ? [TRUE] : []), encodeDer(TAG.octetString, value));
}
const basicConstraints = (isAuthority: boolean): Uint8Array =>
  extension(
    oid('551d13'),
    isAuthority ? sequence(TRUE, encodeDer(TAG.integer, Uint8Array.of(0))) : sequence(),
    true,
  );
/** Bit 0 is digitalSignature, 5 and 6 keyCertSign and cRLSign (RFC 5280 §4.2.1.3). */
const keyUsage = (isAuthority: boolean): Uint8Array =>
  extension(oid('551d0f'), isAuthority ? bits(Uint8Array.of(0x06), 1) : bits(Uint8Array.of(0x80), 7), true);
const CLIENT_AUTHENTICATION = extension(oid('551d25'), sequence(oid('2b06010505070302')), true);

export interface SeededRegistrar {
  /** DER of its self-signed certificate. */
  readonly caDer: Uint8Array;
  /** DER of a device's certificate; no connection is made with it, so all share one key for TLS. */
  issue(claims: SubjectClaims, serial: Uint8Array, validity?: Validity): Uint8Array;
}

function privateKeyOf(secretKey: Uint8Array, uncompressed: Uint8Array) {
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url');
  const [x, y] = [uncompressed.subarray(1, 33), uncompressed.subarray(33)];
  const key = { kty: 'EC', crv: 'P-256', d: text(secretKey), x: text(x), y: text(y) };
  return createPrivateKey({ key, format: 'jwk' });
}

export function seededRegistrar(random: RandomSource): SeededRegistrar {
  const { secretKey, publicKey: point } = p256.keygen(randomBytes(p256.lengths.seed!, random));
  const uncompressed = p256.Point.fromBytes(point).toBytes(false);
  const publicKey = sequence(P256_KEY, bits(uncompressed));
  const key = privateKeyOf(secretKey, uncompressed);
  const issuer = nameOf([COMMON_NAME, 'simulated registrar']);
  const bodyOf = (
    subject: Uint8Array,
    serial: Uint8Array,
    extensions: readonly Uint8Array[],
    validity = LONG,
  ): Uint8Array =>
    sequence(
      encodeDer(TAG.explicit0, encodeDer(TAG.integer, Uint8Array.of(2))),
      encodeDer(TAG.integer, serial),
      ECDSA_SHA256,
      issuer,
      validityOf(validity),
      subject,
      publicKey,
      encodeDer(TAG.explicit3, sequence(...extensions)),
    );
  const signed = (body: Uint8Array, signature: Uint8Array): Uint8Array =>
    sequence(body, ECDSA_SHA256, bits(signature));
  const own = bodyOf(issuer, Uint8Array.of(1), [basicConstraints(true), keyUsage(true)]);
  const digest = new Uint8Array(createHash('sha256').update(own).digest());
  return {
    caDer: signed(own, p256.sign(digest, secretKey, { prehash: false, format: 'der' })),
    issue(claims, serial, validity) {
      const subject = nameOf([COMMON_NAME, claims.subjectId], [UNIT_NAME, claims.role]);
      const extensions = [
        basicConstraints(false),
        keyUsage(false),
        CLIENT_AUTHENTICATION,
        sequence(IDENTITY, encodeDer(TAG.octetString, encodeIdentityExtension(claims))),
      ];
      const body = bodyOf(subject, concat(Uint8Array.of(0x40), serial), extensions, validity);
      return signed(body, sign('sha256', body, { key, dsaEncoding: 'der' }));
    },
  };
}
