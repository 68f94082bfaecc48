/**
 * What a device's tests stand on: time that passes by sleeping, a sealer, rows, a plan, an enrolled device.
 *
 * For tests only; testing-coordinator.ts builds the other side on it. May be called by: *.test.ts in client/. Not
 * exported by the package.
 */
import { toHex } from '../../crypto/bytes.ts';
import {
  type CertificateAuthority,
  createCertificateAuthority,
  generateTlsKey,
  issueCertificate,
  subjectIdOf,
} from '../../crypto/identity/certificate.ts';
import type { KeyPair, Suite, SuiteName } from '../../crypto/identity/suite.ts';
import { randomBytes, systemRandom } from '../../crypto/random.ts';
import type { SealedParts } from '../../crypto/secagg/scheme.ts';
import { assembleBundle, type IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import type { TrainingData } from '../training/engine.ts';
import type { Clock } from './clock.ts';
import type { Sealer } from './seal.ts';

export const START_MS = Date.UTC(2026, 0, 1);
const DAY_MS = 86_400_000;

/** Time that passes only by sleeping. */
export class FakeClock implements Clock {
  #nowMs = START_MS;
  nowMs(): number {
    return this.#nowMs;
  }
  async sleep(durationMs: number): Promise<void> {
    this.#nowMs += durationMs;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Random bytes of a ciphertext's shape; the agent never looks inside. `bodyBytes` of more than a chunk tests resuming. */
export class RandomSealer implements Sealer {
  calls = 0;
  readonly #bytes: number;
  constructor(bytes = 600_000) {
    this.#bytes = bytes;
  }
  seal(): SealedParts {
    this.calls++;
    return { body: randomBytes(this.#bytes), holderPart: randomBytes(this.#bytes) };
  }
}

/** Two inputs, a label that follows the first. */
export function sampleData(count: number): TrainingData {
  const features = new Float32Array(2 * count);
  const labels = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    features[2 * i] = (i % 7) / 3.5 - 1;
    features[2 * i + 1] = (i % 3) - 1;
    labels[i] = i % 7 > 3 ? 1 : 0;
  }
  return { features, labels, count };
}

export type Changes = Record<string, unknown>;

/** A small plan; `changes` replace top-level fields. */
export function planValue(
  world: { holders: readonly Holder[]; registrarSha256: string; coordinatorKey: KeyPair },
  suite: SuiteName,
  changes: Changes,
) {
  return {
    version: 1,
    name: 'test-plan',
    purpose: 'a test',
    aggregation: { transport: 'bfv' },
    suite,
    seed: 'seed',
    features: {
      dataset: 'test',
      label: { column: 'y', positive: { equals: '1' } },
      features: [
        { column: 'a', kind: 'number', minimum: -1, maximum: 1 },
        { column: 'b', kind: 'number', minimum: -1, maximum: 1 },
      ],
      complete: true,
    },
    model: { kind: 'lr', inputs: 2, hidden: [], activation: 'relu' },
    training: { strategy: 'fedavg', epochs: 2, batchSize: 16, learningRate: 0.5 },
    rounds: {
      training: 3,
      evaluation: 0,
      cohortMin: 3,
      cohortTarget: 4,
      cohortMax: 8,
      checkInWindowMs: 1000,
      deadlineMs: 10_000,
    },
    mechanism: { clip: '1', unitsPerClip: 256, recordsMax: 100 },
    privacy: { unit: 'person', epsilon: '8', delta: '0.00001', gamma: '1/3', noiseVariance: '65536' },
    holders: world.holders.map(({ id, signing, sealing }) => ({
      id,
      signingPublicKey: toHex(signing.publicKey),
      sealingPublicKey: toHex(sealing.publicKey),
    })),
    registrarSha256: world.registrarSha256,
    coordinatorPublicKey: toHex(world.coordinatorKey.publicKey),
    ...changes,
  };
}

export interface Holder {
  readonly id: string;
  readonly signing: KeyPair;
  readonly sealing: KeyPair;
}

/** A registrar CA and one client certificate of it. */
export async function enrolledClient(
  suite: Suite,
): Promise<{ identity: IdentityBundle; authority: CertificateAuthority }> {
  const validity = { notBeforeMs: START_MS - DAY_MS, notAfterMs: Date.now() + 3650 * DAY_MS };
  const authority = await createCertificateAuthority({
    name: 'Test registrar',
    ...validity,
    random: systemRandom,
  });
  const signing = suite.generateSigningKey();
  const sealing = suite.generateSealingKey();
  const { tlsKeyPem, tlsPublicKey } = await generateTlsKey();
  const claims = {
    role: 'client' as const,
    suite: suite.name,
    subjectId: subjectIdOf('client', suite.name, signing.publicKey),
    signingPublicKey: signing.publicKey,
    sealingPublicKey: sealing.publicKey,
  };
  const { pem } = await issueCertificate(authority, { claims, tlsPublicKey, ...validity });
  const { caPem } = authority;
  return { identity: assembleBundle({ caPem, certPem: pem, tlsKeyPem, signing, sealing }), authority };
}
