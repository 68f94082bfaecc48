/**
 * The identity of a virtual device: keys that follow from seed and index, and the certificate that the simulated
 * registrar gives it.
 *
 * Trusts: its caller with every secret. May be called by: experiments/simulation.
 */
import { type EnrolledRole, subjectIdOf } from '../../crypto/identity/certificate.ts';
import { getSuite, type KeyPair } from '../../crypto/identity/suite.ts';
import { seededRandom } from '../../crypto/random.ts';
import type { Parties } from './parties.ts';
import type { Validity } from './registrar.ts';

const SERIAL_BYTES = 15;

export interface DeviceIdentity {
  readonly subjectId: string;
  readonly serial: Uint8Array;
  readonly signing: KeyPair;
  readonly sealing: KeyPair;
  /** DER. */
  readonly certificate: Uint8Array;
}

/** The same keys and serial number for the same seed; the certificate's own signature is fresh. */
export function deviceIdentity(
  { suite: name, registrar }: Pick<Parties, 'suite' | 'registrar'>,
  seed: string,
  device: number,
  { role = 'client', validity }: { readonly role?: EnrolledRole; readonly validity?: Validity } = {},
): DeviceIdentity {
  const suite = getSuite(name);
  const random = seededRandom(`simulation/device/${name}/${seed}/${device}`);
  const signing = suite.generateSigningKey(random);
  const sealing = suite.generateSealingKey(random);
  const subjectId = subjectIdOf(role, name, signing.publicKey);
  const serial = random.fill(new Uint8Array(SERIAL_BYTES));
  const claims = {
    role,
    suite: name,
    subjectId,
    signingPublicKey: signing.publicKey,
    sealingPublicKey: sealing.publicKey,
  };
  return { subjectId, serial, signing, sealing, certificate: registrar.issue(claims, serial, validity) };
}
