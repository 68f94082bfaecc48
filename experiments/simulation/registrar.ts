/**
 * A registrar's certificate authority that follows from a seed: its key, its certificate, the certificates it issues.
 *
 * A plan names its registrar by a hash, so a simulation whose figures repeat needs a registrar that repeats. ECDSA P-256
 * with nonces by RFC 6979, certificates in the profile of crypto/identity/certificate.ts, which reads and checks them
 * like any other's. Anybody who knows the seed is this registrar: for simulations only.
 * Trusts: nobody. May be called by: experiments/simulation.
 */
import { createHash } from 'node:crypto';
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
const validity = sequence(encodeDer(0x18, utf8(NOT_BEFORE)), encodeDer(0x18, utf8(NOT_AFTER)));

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
  issue(claims: SubjectClaims, serial: Uint8Array): Uint8Array;
}

export function seededRegistrar(random: RandomSource): SeededRegistrar {
  const { secretKey, publicKey: point } = p256.keygen(randomBytes(p256.lengths.seed!, random));
  const publicKey = sequence(P256_KEY, bits(p256.Point.fromBytes(point).toBytes(false)));
  const issuer = nameOf([COMMON_NAME, 'simulated registrar']);
  const signed = (subject: Uint8Array, serial: Uint8Array, extensions: readonly Uint8Array[]): Uint8Array => {
    const body = sequence(
      encodeDer(TAG.explicit0, encodeDer(TAG.integer, Uint8Array.of(2))),
      encodeDer(TAG.integer, serial),
      ECDSA_SHA256,
      issuer,
      validity,
      subject,
      publicKey,
      encodeDer(TAG.explicit3, sequence(...extensions)),
    );
    const digest = new Uint8Array(createHash('sha256').update(body).digest());
    const signature = p256.sign(digest, secretKey, { prehash: false, format: 'der' });
    return sequence(body, ECDSA_SHA256, bits(signature));
  };
  return {
    caDer: signed(issuer, Uint8Array.of(1), [basicConstraints(true), keyUsage(true)]),
    issue(claims, serial) {
      const subject = nameOf([COMMON_NAME, claims.subjectId], [UNIT_NAME, claims.role]);
      return signed(subject, concat(Uint8Array.of(0x40), serial), [
        basicConstraints(false),
        keyUsage(false),
        CLIENT_AUTHENTICATION,
        sequence(IDENTITY, encodeDer(TAG.octetString, encodeIdentityExtension(claims))),
      ]);
    },
  };
}
