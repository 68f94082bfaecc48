// Goal: crypto/vectors/long.json is what both engines compute, and what is bad in it is refused with its code.
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { concat, fromHex, toHex, transcript, utf8 } from '../../bytes.ts';
import { subjectIdOf } from '../../identity/identity.ts';
import { getSuite } from '../../identity/suite.ts';
import { seededRandom } from '../../random.ts';
import { loadSecagg, type SumScheme } from '../scheme.ts';
import { openShares, SeedSum } from '../shares/index.ts';
import type { LongEngine } from './engine.ts';
import { typescriptEngine } from './engine-typescript.ts';
import { aSeedOf, chooseLong, loadLongEngine } from './index.ts';
import { smallestPrimitiveRoot } from './ntt.ts';
import { longPrimes } from './parameters.ts';
import { cumulativeTable } from './sampler.ts';
import { packedResidue } from './testing.ts';
import { bytesOfIntegers, makeUploadVector, shown, uploadSlots } from './testing-upload-vector.ts';
import {
  bytesOfSmall,
  codeOf,
  type LongVectors,
  madeClient,
  makeExpansion,
  makeTransform,
  sumOfSmall,
  transformCases,
  vectorInputs,
  vectorsFile,
} from './testing-vectors.ts';

const vectors: LongVectors = JSON.parse(readFileSync(vectorsFile, 'utf8'));
const small = vectors.long.filter(({ parameters }) => parameters.polyDegree === 4096);
const engines = new Map<string, LongEngine>([['typescript', typescriptEngine]]);
beforeAll(async () => {
  const engine = await loadLongEngine();
  engines.set(engine.name, engine);
});

describe('ring', () => {
  it('the residues of a', () => {
    const { configHash, aSeed, cases } = vectors.expansion;
    expect(toHex(aSeedOf(fromHex(configHash)))).toBe(aSeed);
    for (const vector of cases) {
      const { polyDegree, polynomial, primeIndex } = vector;
      expect(makeExpansion(polyDegree, polynomial, primeIndex)).toEqual(vector);
    }
  });

  it('primes, roots and the order of the transform', () => {
    expect(vectors.transforms.map(({ polyDegree, prime }) => [polyDegree, prime])).toEqual(transformCases);
    for (const vector of vectors.transforms) {
      const { polyDegree, prime, root, second } = vector;
      expect(longPrimes[polyDegree]).toContain(prime);
      expect(smallestPrimitiveRoot(polyDegree, prime)).toBe(root);
      // By definition: value number j of the transform is the polynomial at ψ^(2·rev(j) + 1); here j = 1.
      const at = powerOf(BigInt(root), 2n * BigInt(polyDegree / 2) + 1n, BigInt(prime));
      expect(valueAt(polyDegree, at, BigInt(prime))).toBe(second);
      expect(makeTransform(polyDegree, prime)).toEqual(vector);
    }
  });

  it('the table of the sampler', () => {
    const { sigma256, table } = vectors.sampler;
    expect(cumulativeTable(sigma256).map((entry) => entry.toString(16))).toEqual(table);
  });
});

function powerOf(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (let i = exponent, square = base; i > 0n; i >>= 1n, square = (square * square) % modulus)
    if (i & 1n) result = (result * square) % modulus;
  return result;
}

/** Σ i·x^i over i < n, by Horner. */
function valueAt(polyDegree: number, x: bigint, modulus: bigint): number {
  let sum = 0n;
  for (let i = polyDegree - 1; i >= 0; i--) sum = (sum * x + BigInt(i)) % modulus;
  return Number(sum);
}

it('there is one vector for each input of the generator', () => {
  expect(vectors.long.map(({ name }) => name)).toEqual(vectorInputs.map(({ name }) => name));
});

describe.each(['typescript', 'wasm-simd'])('engine %s', (engineName) => {
  // The twin takes a second for the large rings, and the kernels are compared with it elsewhere.
  const checked = engineName === 'typescript' ? small : vectors.long;
  it.each(checked.map((vector) => ({ name: vector.name, vector })))('$name', ({ vector }) => {
    const engine = engines.get(engineName);
    if (!engine) return expect(engines.size).toBe(1);
    const parameters = chooseLong(vector.request);
    expect(parameters).toEqual(vector.parameters);
    const aSeed = aSeedOf(fromHex(vector.configHash));
    expect(toHex(aSeed)).toBe(vector.aSeed);
    const folder = engine.folder(parameters);
    const clients = vector.clients.map((expected, i) => {
      const made = madeClient(vector.source, parameters, i);
      // Where the file has the values themselves, they are used, so that it stands without the generator.
      const secret = valuesOr(expected.secret, made.secret);
      const packed = engine.seal(parameters, { aSeed, ...made, secret });
      expect(shown(packed)).toBe(expected.packed);
      expect(shown(bytesOfIntegers(made.slots))).toBe(expected.slots);
      expect(shown(bytesOfSmall(made.errors))).toBe(expected.errors);
      folder.add(packed);
      return made;
    });
    const sums = folder.bytes();
    const secretSum = sumOfSmall(clients.map(({ secret }) => secret));
    expect(shown(sums)).toBe(vector.sums);
    expect(shown(bytesOfIntegers(secretSum))).toBe(vector.secretSum);
    const opened = engine.open(parameters, { aSeed, sums, secretSum, cohort: clients.length });
    expect(shown(bytesOfIntegers(opened))).toBe(vector.opened);
  });

  it.each(
    small.flatMap((vector) => vector.bad.map((bad) => ({ in: vector.name, name: bad.name, vector, bad }))),
  )('$in: $name', ({ vector, bad }) => {
    const engine = engines.get(engineName);
    if (!engine) return expect(engines.size).toBe(1);
    const parameters = chooseLong(vector.request);
    if (bad.call === 'add') {
      const folder = engine.folder(parameters);
      expect(codeOf(() => folder.add(fromHex(bad.packed!)))).toBe(bad.code);
      return;
    }
    const secrets = vector.clients.map(({ secret }) => new Int8Array(fromHex(secret)));
    const keys = bad.keys ?? [...secrets.keys()];
    const secretSum = sumOfSmall(keys.map((client) => secrets[client]!));
    secretSum[17]! += bad.shift ?? 0;
    const input = {
      aSeed: aSeedOf(fromHex(bad.configHash ?? vector.configHash)),
      sums: fromHex(bad.sums ?? vector.sums),
      secretSum: secretSum.slice(0, secretSum.length - (bad.cut ?? 0)),
      cohort: bad.cohort ?? secrets.length,
    };
    expect(codeOf(() => engine.open(parameters, input))).toBe(bad.code);
    // Control: without what is bad about it, it opens.
    const good = {
      ...input,
      aSeed: fromHex(vector.aSeed),
      sums: fromHex(vector.sums),
      cohort: secrets.length,
    };
    expect(codeOf(() => engine.open(parameters, { ...good, secretSum: sumOfSmall(secrets) }))).toBe(
      'no error',
    );
  });
});

const valuesOr = (text: string, made: Int8Array): Int8Array =>
  text.startsWith('sha256:') ? made : new Int8Array(fromHex(text));

it('a packed upload is residues of 26 bits, and padding ones are zero', () => {
  for (const { parameters, clients } of small.filter(({ bad }) => bad.length > 0))
    for (const { packed } of clients)
      for (const [r, prime] of parameters.primes.entries())
        for (let i = 0; i < 4 * Math.ceil(parameters.coefficientCount / 4); i++) {
          const residue = packedResidue(parameters, fromHex(packed), r, i);
          expect(residue).toBeLessThan(i < parameters.coefficientCount ? prime : 1);
        }
});

describe.each(vectors.uploads.map((vector) => ({ name: vector.name, vector })))('$name', ({ vector }) => {
  const suite = getSuite('intl');
  const { parameters } = vector;
  const configHash = fromHex(vector.configHash);
  const scheme: SumScheme = {
    ...{ transport: 'shares', suite: 'intl', kem: 'x25519', holderCount: 4, wordBits: 16, groups: 1 },
    ...{ slotCount: parameters.slotCount, long: parameters, shortCount: parameters.polyDegree },
  };

  it('the generator gives it byte for byte', () => {
    expect(makeUploadVector(typescriptEngine)).toEqual(vector);
  });

  it('names: configuration, committee key, devices', () => {
    expect(toHex(suite.digest(transcript('round-config', utf8(vector.config))))).toBe(vector.configHash);
    expect(toHex(suite.digest(fromHex(vector.committeeKey)))).toBe(vector.committeeKeyId);
    for (const { signingPublicKey, deviceId } of vector.devices)
      expect(subjectIdOf('client', 'intl', fromHex(signingPublicKey))).toBe(deviceId);
  });

  it('scheme.ts seals these bytes, and they open to the sum with any three holders', async () => {
    const secagg = await loadSecagg();
    const committeeKey = fromHex(vector.committeeKey);
    expect(secagg.sizes(scheme)).toEqual({ body: vector.bodyBytes, holderPart: 480 });
    const folder = secagg.folder(scheme);
    const sums = [1, 2, 3, 4].map(() => new SeedSum(parameters.polyDegree, 16, suite, configHash));
    for (const device of vector.devices) {
      const { deviceId, source } = device;
      const slots = Int32Array.from(device.slots);
      expect(slots).toEqual(uploadSlots(source, parameters.slotCount));
      const context = { configHash, deviceId };
      const { body, holderPart } = secagg.seal(scheme, context, committeeKey, slots, seededRandom(source));
      expect(shown(body.subarray(0, parameters.packedBytes))).toBe(device.packed);
      expect(shown(body.subarray(parameters.packedBytes))).toBe(device.maskedKey);
      expect(toHex(holderPart)).toBe(device.holderPart);
      expect(toHex(suite.digest(body))).toBe(device.bodyDigest);
      folder.add(body);
      for (const [i, secretKey] of vector.committeeSecretKeys.entries()) {
        const input = { holderPart, committeeKey, holderIndex: i + 1, secretKey: fromHex(secretKey) };
        sums[i]!.add(deviceId, openShares({ ...context, suite, wordBits: 16 }, input).seeds);
      }
    }
    const bodySum = folder.bytes();
    expect(shown(bodySum)).toBe(vector.bodySum);
    const partials = sums.map((sum) => sum.bytes());
    expect(partials.map(shown)).toEqual(vector.partials);
    for (const activeSet of [
      [1, 2, 3],
      [1, 2, 4],
      [1, 3, 4],
      [2, 3, 4],
    ]) {
      const answers = activeSet.map((holder) => partials[holder - 1]!);
      const input = { configHash, bodySum, cohortCount: vector.devices.length, activeSet, partials: answers };
      expect([...secagg.open(scheme, input)]).toEqual(vector.opened);
    }
    const total = vector.devices[0]!.slots.map((slot, i) => slot + vector.devices[1]!.slots[i]!);
    expect(vector.opened).toEqual(total);
  });

  it.each(vector.devices.map((device) => ({ deviceId: device.deviceId, device })))(
    'statement and signature of $deviceId',
    ({ device }) => {
      const [body, holderPart] = [fromHex(device.bodyDigest), fromHex(device.holderPartDigest)];
      expect(toHex(suite.digest(fromHex(device.holderPart)))).toBe(device.holderPartDigest);
      const digest = suite.digest(concat(utf8('pulsefold/v1/upload-digest'), body, holderPart));
      expect(toHex(digest)).toBe(device.digest);
      const statement = fromHex(device.statement);
      expect(suite.verify(fromHex(device.signingPublicKey), statement, fromHex(device.signature))).toBe(true);
      expect(toHex(suite.sign(fromHex(device.signingSecretKey), statement))).toBe(device.signature);
      // Any other round is another statement.
      const other = statement.slice();
      other[4 + 'pulsefold/v1/upload'.length + 4 + 32 + 4]! ^= 1;
      expect(suite.verify(fromHex(device.signingPublicKey), other, fromHex(device.signature))).toBe(false);
    },
  );
});
