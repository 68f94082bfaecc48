/**
 * The generator of crypto/vectors/long.json (`node crypto/secagg/long/testing-vectors.ts` rewrites it), and what its test
 * shares with it.
 *
 * Everything follows from names and formulas, so a run gives the same file byte for byte. Long byte strings stand there
 * as their SHA-256. Trusts: nothing to keep secret. May be called by: *.test.ts.
 */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { toHex } from '../../bytes.ts';
import { PulsefoldError } from '../../error.ts';
import { randomBytes, seededRandom } from '../../random.ts';
import type { LongEngine } from './engine.ts';
import { typescriptEngine } from './engine-typescript.ts';
import { aSeedOf, expandA } from './expansion.ts';
import { smallestPrimitiveRoot, transformFor } from './ntt.ts';
import {
  chooseLong,
  type LongDegree,
  type LongParameters,
  type LongRequest,
  longPrimes,
} from './parameters.ts';
import { cumulativeTable, sampleSmallGaussian } from './sampler.ts';
import {
  bytesOfIntegers,
  makeUploadVector,
  sha256Hex,
  shown,
  type UploadVector,
} from './testing-upload-vector.ts';

export const bytesOfSmall = (values: Int8Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** Integers that a formula gives: no generator is needed to get them. Slots fill their range, so that sums wrap around. */
export const formulaSlots = (count: number, slotBits: number, client: number): Int32Array =>
  Int32Array.from({ length: count }, (_, j) => Math.imul(j + 1, 2_654_435_761 + client) >> (32 - slotBits));
export const formulaSecret = (polyDegree: number, client: number): Int8Array =>
  Int8Array.from({ length: polyDegree }, (_, i) => ((i * 31 + client) % 11) - 5);
export const formulaErrors = (count: number, client: number): Int8Array =>
  Int8Array.from({ length: count }, (_, i) => ((i * 17 + client) % 9) - 4);

export interface ExpansionVector {
  readonly polyDegree: LongDegree;
  readonly polynomial: number;
  readonly primeIndex: number;
  readonly prime: number;
  readonly first: readonly number[];
  /** SHA-256 of all n residues as u32le. */
  readonly sha256: string;
}

export interface TransformVector {
  readonly polyDegree: LongDegree;
  readonly prime: number;
  /** Smallest primitive 2n-th root of unity. */
  readonly root: number;
  /** Value number 1 of the transform below: the polynomial at root^(n + 1). */
  readonly second: number;
  /** SHA-256 of the transform of 0, 1, 2, …, n − 1, residues in [0, p) as u32le. */
  readonly sha256: string;
}

export interface BadLongVector {
  readonly name: string;
  /** `add`: what a folder refuses; `open`: what an opening refuses. */
  readonly call: 'add' | 'open';
  readonly packed?: string;
  readonly configHash?: string;
  readonly sums?: string;
  /** Clients, from 0, whose keys make the key sum; `shift` is added to its coefficient 17, `cut` are left out. */
  readonly keys?: readonly number[];
  readonly shift?: number;
  readonly cut?: number;
  readonly cohort?: number;
  readonly code: string;
}

export interface LongVector {
  readonly name: string;
  readonly request: LongRequest;
  readonly parameters: LongParameters;
  readonly configHash: string;
  readonly aSeed: string;
  /** `formula`: key, errors and slots by the formulas of SOURCES.md; else from the seeded generator of that name. */
  readonly source: string;
  readonly clients: readonly {
    readonly slots: string;
    readonly secret: string;
    readonly errors: string;
    readonly packed: string;
  }[];
  readonly sums: string;
  readonly secretSum: string;
  readonly opened: string;
  readonly bad: readonly BadLongVector[];
}

interface MadeClient {
  readonly slots: Int32Array;
  readonly secret: Int8Array;
  readonly errors: Int8Array;
}

/** Client number `client` (from 0) of a vector. */
export function madeClient(source: string, parameters: LongParameters, client: number): MadeClient {
  const { polyDegree, coefficientCount, slotBits, slotCount, sigma256 } = parameters;
  if (source === 'formula')
    return {
      slots: formulaSlots(slotCount, slotBits, client),
      secret: formulaSecret(polyDegree, client),
      errors: formulaErrors(coefficientCount, client),
    };
  const random = seededRandom(`${source} ${client}`);
  const words = new Int32Array(randomBytes(4 * slotCount, random).buffer);
  const slots = words.map((word) => word >> (32 - slotBits));
  // A key, then errors: the order in which sealLong draws them.
  const secret = sampleSmallGaussian(sigma256, polyDegree, random);
  return { slots, secret, errors: sampleSmallGaussian(sigma256, coefficientCount, random) };
}

export const sumOfSmall = (vectors: readonly Int8Array[]): Int32Array =>
  vectors.reduce(
    (sum, vector) => sum.map((value, i) => value + vector[i]!),
    new Int32Array(vectors[0]!.length),
  );

export const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return error instanceof PulsefoldError ? error.code : String(error);
  }
  return 'no error';
};

interface VectorInput {
  readonly name: string;
  readonly source: string;
  readonly clients: number;
  readonly request: Omit<LongRequest, 'shortSum' | 'shortBytesPerSlot'>;
}

export const vectorInputs: readonly VectorInput[] = [
  {
    name: 'three primes, two clients',
    source: 'pulsefold long three primes',
    clients: 2,
    request: { slotCount: 200, slotBits: 12, clients: 2, honestClients: 2 },
  },
  {
    name: 'four primes, three clients',
    source: 'pulsefold long four primes',
    clients: 3,
    request: { slotCount: 38, slotBits: 16, clients: 3, honestClients: 2 },
  },
  {
    name: 'slots of 32 bits',
    source: 'formula',
    clients: 2,
    request: { slotCount: 33, slotBits: 32, clients: 2, honestClients: 2 },
  },
  {
    name: 'two polynomials',
    source: 'formula',
    clients: 2,
    request: { slotCount: 20_001, slotBits: 16, clients: 1000, honestClients: 900 },
  },
  {
    name: 'degree 8192',
    source: 'formula',
    clients: 2,
    request: { slotCount: 100_000, slotBits: 16, clients: 10_000, honestClients: 9000 },
  },
  {
    name: 'degree 16384',
    source: 'formula',
    clients: 2,
    request: { slotCount: 1_000_000, slotBits: 17, clients: 10_000, honestClients: 9000 },
  },
];

export function makeLongVector(engine: LongEngine, input: VectorInput): LongVector {
  const { name, source } = input;
  const request: LongRequest = { ...input.request, shortSum: 'shares', shortBytesPerSlot: 2 };
  const parameters = chooseLong(request);
  const configHash = new Uint8Array(createHash('sha256').update(`pulsefold long vector: ${name}`).digest());
  const aSeed = aSeedOf(configHash);
  const made = Array.from({ length: input.clients }, (_, client) => madeClient(source, parameters, client));
  const packed = made.map((client) => engine.seal(parameters, { aSeed, ...client }));
  const folder = engine.folder(parameters);
  for (const bytes of packed) folder.add(bytes);
  const sums = folder.bytes();
  const secretSum = sumOfSmall(made.map(({ secret }) => secret));
  const opened = engine.open(parameters, { aSeed, sums, secretSum, cohort: input.clients });
  const isSmall = parameters.packedBytes <= 512;
  return {
    name,
    request,
    parameters,
    configHash: toHex(configHash),
    aSeed: toHex(aSeed),
    source,
    clients: made.map(({ slots, secret, errors }, i) => ({
      slots: shown(bytesOfIntegers(slots)),
      // Two keys of 4,096 bytes are worth their place: the rest can be checked from this file alone.
      secret: isSmall && source !== 'formula' ? toHex(bytesOfSmall(secret)) : shown(bytesOfSmall(secret)),
      errors: shown(bytesOfSmall(errors)),
      packed: shown(packed[i]!),
    })),
    sums: shown(sums),
    secretSum: shown(bytesOfIntegers(secretSum)),
    opened: shown(bytesOfIntegers(opened)),
    bad: isSmall && source !== 'formula' ? badVectors(packed, sums, configHash) : [],
  };
}

const flippedAt = (bytes: Uint8Array, at: number): Uint8Array =>
  bytes.map((byte, i) => (i === at ? byte ^ 0x40 : byte));

function badVectors(
  packed: readonly Uint8Array[],
  sums: Uint8Array,
  configHash: Uint8Array,
): BadLongVector[] {
  const everybody = [...packed.keys()];
  const first = packed[0]!;
  const wrongBytes = 'WRONG_CIPHERTEXT_PARAMETERS';
  const refused = { call: 'add', code: wrongBytes } as const;
  const unopened = { call: 'open', code: 'OPENING_FAILED' } as const;
  return [
    { ...refused, name: 'an upload without its last byte', packed: toHex(first.subarray(0, -1)) },
    { ...refused, name: 'an upload with one byte more', packed: `${toHex(first)}00` },
    { ...refused, name: 'an empty upload', packed: '' },
    { ...unopened, name: 'another config hash', configHash: toHex(flippedAt(configHash, 0)) },
    { ...unopened, name: 'the key of the last client is missing', keys: everybody.slice(0, -1) },
    { ...unopened, name: 'the key of the first client counted twice', keys: [...everybody, 0] },
    { ...unopened, name: 'one coefficient of the key sum off by one', shift: 1 },
    { ...unopened, name: 'only the first upload in the sum', sums: toHex(first) },
    { ...unopened, name: 'one bit of the sum flipped', sums: toHex(flippedAt(sums, 5)) },
    {
      ...{ call: 'open', name: 'the key sum without its last coefficient', cut: 1 },
      code: 'VECTOR_LENGTH_MISMATCH',
    },
    {
      call: 'open',
      name: 'a sum without its last byte',
      sums: toHex(sums.subarray(0, -1)),
      code: wrongBytes,
    },
    { call: 'open', name: 'an empty cohort', cohort: 0, code: 'FIELD_OUT_OF_RANGE' },
  ];
}

const littleEndian = (values: ArrayLike<number>): Uint8Array => bytesOfIntegers(Int32Array.from(values));

export const expansionCases = [
  [4096, 0, 0],
  [4096, 1, 3],
  [8192, 0, 7],
  [16384, 2, 15],
] as const;

const expansionSeed = aSeedOf(new Uint8Array(32).fill(7));

export function makeExpansion(
  polyDegree: LongDegree,
  polynomial: number,
  primeIndex: number,
): ExpansionVector {
  const prime = longPrimes[polyDegree][primeIndex]!;
  const residues = new Float64Array(polyDegree);
  expandA(expansionSeed, polynomial, primeIndex, prime, residues);
  const first = [...residues.subarray(0, 8)];
  return { polyDegree, polynomial, primeIndex, prime, first, sha256: sha256Hex(littleEndian(residues)) };
}

export const transformCases = ([4096, 8192, 16384] as const).flatMap((polyDegree) =>
  longPrimes[polyDegree].map((prime): [LongDegree, number] => [polyDegree, prime]),
);

export function makeTransform(polyDegree: LongDegree, prime: number): TransformVector {
  const root = smallestPrimitiveRoot(polyDegree, prime);
  const values = Float64Array.from({ length: polyDegree }, (_, i) => i);
  transformFor(polyDegree, prime).forward(values);
  const residues = values.map((value) => (value < 0 ? value + prime : value));
  return { polyDegree, prime, root, second: residues[1]!, sha256: sha256Hex(littleEndian(residues)) };
}

export interface LongVectors {
  readonly expansion: {
    readonly configHash: string;
    readonly aSeed: string;
    readonly cases: readonly ExpansionVector[];
  };
  readonly transforms: readonly TransformVector[];
  /** ⌊2^93·P(|X| ≤ k)⌋ for k = 0, 1, …, hexadecimal. */
  readonly sampler: { readonly sigma256: number; readonly table: readonly string[] };
  readonly long: readonly LongVector[];
  readonly uploads: readonly UploadVector[];
}

export function makeVectors(engine: LongEngine): LongVectors {
  return {
    expansion: {
      configHash: toHex(new Uint8Array(32).fill(7)),
      aSeed: toHex(expansionSeed),
      cases: expansionCases.map(([n, polynomial, prime]) => makeExpansion(n, polynomial, prime)),
    },
    transforms: transformCases.map(([n, prime]) => makeTransform(n, prime)),
    sampler: { sigma256: 1159, table: cumulativeTable(1159).map((entry) => entry.toString(16)) },
    long: vectorInputs.map((input) => makeLongVector(engine, input)),
    uploads: [makeUploadVector(engine)],
  };
}

export const vectorsFile = new URL('../../vectors/long.json', import.meta.url);

if (import.meta.main) {
  const vectors = makeVectors(typescriptEngine);
  writeFileSync(vectorsFile, `${JSON.stringify(vectors, null, 2)}\n`);
}
