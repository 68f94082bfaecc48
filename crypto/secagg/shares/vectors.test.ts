// Goal: the published vectors are what this code computes, and every bad one is refused with its code.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../bytes.ts';
import { PulsefoldError } from '../../error.ts';
import { hasMlKem } from '../../identity/ml-kem.ts';
import { getSuite } from '../../identity/suite.ts';
import { contradictors, openShares, SeedSum, unmask, WordFolder } from './index.ts';
import { activeSets, makeVector, type ShareVector } from './testing-shares.ts';

const file = new URL('../../vectors/shares.json', import.meta.url);
const vectors: ShareVector[] = JSON.parse(readFileSync(file, 'utf8')).shares;

it('covers both suites and all key encapsulations', () => {
  expect(vectors.map(({ kem }) => kem)).toEqual(['x25519', 'x25519-ml-kem-768', 'sm2']);
});

describe.each(vectors.map((vector) => ({ vector, kem: vector.kem })))('vectors of $kem', ({ vector }) => {
  const suite = getSuite(vector.suite);
  const { wordBits, seed } = vector;
  const committeeKey = fromHex(vector.committeeKey);
  const unavailable = vector.kem === 'x25519-ml-kem-768' && !hasMlKem();
  const count = vector.sum.length;

  it.skipIf(seed === null)('sealing from the seed gives them byte for byte', () => {
    expect(makeVector(vector.suite, vector.kem, wordBits)).toEqual(vector);
  });

  it.skipIf(unavailable)('every holder opens every part to its seeds, sums them, and the sum opens', () => {
    const configHash = fromHex(vector.configHash);
    const folder = new WordFolder(count, wordBits);
    for (const { body } of vector.devices) folder.add(fromHex(body));
    expect(toHex(folder.bytes())).toBe(vector.bodySum);
    const partials = vector.secretKeys.map((key, i) => {
      const sum = new SeedSum(count, wordBits, suite, configHash);
      for (const { deviceId, holderPart, seeds } of vector.devices) {
        const context = { suite, configHash, deviceId, wordBits };
        const input = { committeeKey, holderIndex: i + 1, secretKey: fromHex(key) };
        const opened = openShares(context, { ...input, holderPart: fromHex(holderPart) });
        expect(toHex(opened.seeds)).toBe(seeds[i]);
        sum.add(deviceId, opened.seeds);
      }
      return sum.bytes();
    });
    expect(partials.map(toHex)).toEqual(vector.partials);
    expect(contradictors({ wordBits, count, partials })).toEqual([]);
    for (const activeSet of activeSets) {
      const answers = activeSet.map((holder) => partials[holder - 1]!);
      const opened = unmask({ bodySum: folder.bytes(), wordBits, count, activeSet, partials: answers });
      expect([...opened]).toEqual(vector.sum);
    }
  });

  it.skipIf(unavailable).each(vector.bad.map((bad) => ({ bad, name: bad.name })))('$name', ({ bad }) => {
    const { deviceId, holderIndex } = bad;
    const context = { suite, configHash: fromHex(bad.configHash), deviceId, wordBits };
    const secretKey = fromHex(vector.secretKeys[holderIndex - 1]!);
    const holderPart = fromHex(bad.holderPart);
    let code = 'no error';
    try {
      openShares(context, { holderPart, committeeKey, holderIndex, secretKey });
    } catch (error) {
      code = error instanceof PulsefoldError ? error.code : String(error);
    }
    expect(code).toBe(bad.code);
  });
});
