/**
 * For tests and benchmarks of LongSum: small parameter sets, clients with known secrets, and a bit reader that shares
 * no code with packing.ts. Never part of a role. Trusts: nothing.
 */
import { createHash } from 'node:crypto';
import { uint32, utf8 } from '../../bytes.ts';
import { seededRandom } from '../../random.ts';
import type { LongEngine } from './engine.ts';
import {
  chooseLong,
  defineLongParameters,
  type LongDegree,
  type LongParameters,
  type LongRequest,
  longPrimes,
} from './parameters.ts';
import { sampleSmallGaussian } from './sampler.ts';

export const testRequest = (over: Partial<LongRequest>): LongRequest => ({
  slotCount: 1000,
  slotBits: 16,
  clients: 1000,
  honestClients: 500,
  shortSum: 'shares',
  shortBytesPerSlot: 2,
  ...over,
});

export const testParameters = (over: Partial<LongRequest> = {}): LongParameters =>
  chooseLong(testRequest(over));

/** A set that `chooseLong` would not pick: any ring at any length, the widest packing given. */
export function customParameters(input: {
  polyDegree: LongDegree;
  primeCount: number;
  slotBits: number;
  slotsPerCoefficient: number;
  slotCount: number;
  clients: number;
}): LongParameters {
  const coefficientCount = Math.ceil(input.slotCount / input.slotsPerCoefficient);
  return defineLongParameters(
    {
      ...input,
      primes: longPrimes[input.polyDegree].slice(0, input.primeCount),
      coefficientCount,
      polynomialCount: Math.ceil(coefficientCount / input.polyDegree),
      sigma256: 1172,
    },
    2 * input.polyDegree,
  );
}

export interface TestClient {
  readonly secret: Int8Array;
  readonly errors: Int8Array;
  readonly slots: Int32Array;
  readonly packed: Uint8Array;
}

/** Pseudo-random int32 in [−limit, limit). */
export function testSlots(count: number, limit: number, label: string): Int32Array {
  const words = new Uint32Array(count);
  seededRandom(label).fill(new Uint8Array(words.buffer));
  return Int32Array.from(words, (word) => (word % (2 * limit)) - limit);
}

export function sealClient(
  engine: LongEngine,
  parameters: LongParameters,
  input: { aSeed: Uint8Array; slots: Int32Array; label: string },
): TestClient {
  const random = seededRandom(input.label);
  const secret = sampleSmallGaussian(parameters.sigma256, parameters.polyDegree, random);
  const errors = sampleSmallGaussian(parameters.sigma256, parameters.coefficientCount, random);
  const { aSeed, slots } = input;
  return { secret, errors, slots, packed: engine.seal(parameters, { aSeed, secret, errors, slots }) };
}

export function sumOfSecrets(clients: readonly { secret: ArrayLike<number> }[]): Int32Array {
  const out = new Int32Array(clients[0]!.secret.length);
  for (const { secret } of clients) for (let i = 0; i < out.length; i++) out[i]! += secret[i]!;
  return out;
}

export function sumOfSlots(clients: readonly { slots: Int32Array }[]): Int32Array {
  const out = new Int32Array(clients[0]!.slots.length);
  for (const { slots } of clients) for (let i = 0; i < out.length; i++) out[i]! += slots[i]!;
  return out;
}

/** The residue at `index` of prime `primeIndex`, read bit by bit. */
export function packedResidue(
  parameters: LongParameters,
  packed: Uint8Array,
  primeIndex: number,
  index: number,
): number {
  const first = 26 * (primeIndex * 4 * Math.ceil(parameters.coefficientCount / 4) + index);
  let value = 0;
  for (let bit = 0; bit < 26; bit++) {
    const at = first + bit;
    value += ((packed[at >> 3]! >> (at & 7)) & 1) * 2 ** bit;
  }
  return value;
}

export const testSeed = (label: string): Uint8Array =>
  new Uint8Array(createHash('sha256').update(uint32(1)).update(utf8(label)).digest());
