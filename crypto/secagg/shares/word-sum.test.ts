// Goal: words add modulo 2^w whatever their alignment, and the keystream is AES-256-CTR as a second library
// computes it.
import { ctr } from '@noble/ciphers/aes.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex, transcript, utf8 } from '../../bytes.ts';
import { getSuite } from '../../identity/suite.ts';
import { randomBytes, seededRandom } from '../../random.ts';
import { type WordBits, WordFolder } from './index.ts';
import { streamKeys, WordSum, wordsOf } from './word-sum.ts';

const widths: readonly WordBits[] = [16, 32];

/** Word by word, as the definition reads. */
function reference(wordBits: WordBits, a: Uint8Array, b: Uint8Array, sign: 1 | -1): Uint8Array {
  const out = new Uint8Array(a.length);
  const [va, vb, vo] = [a, b, out].map((v) => new DataView(v.buffer, v.byteOffset, v.length));
  for (let at = 0; at < a.length; at += wordBits / 8) {
    if (wordBits === 16) vo!.setUint16(at, va!.getUint16(at, true) + sign * vb!.getUint16(at, true), true);
    else vo!.setUint32(at, va!.getUint32(at, true) + sign * vb!.getUint32(at, true), true);
  }
  return out;
}

describe.each(widths)('%i-bit words', (wordBits) => {
  it('add and subtract like the definition, for any length and alignment, and undo each other', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 41 }), fc.nat(7), fc.string(), (count, offset, seed) => {
        const random = seededRandom(seed);
        const length = count * (wordBits / 8);
        // Many 0xff and 0x80 bytes, so that carries between neighbours would show.
        const draw = () => {
          const bytes = randomBytes(length + 8, random).map((byte) => (byte % 3 === 0 ? 0xff : byte & 0x80));
          return bytes.subarray(offset, offset + length);
        };
        const [a, b] = [draw(), draw()];
        const sum = new WordSum(count, wordBits);
        sum.add(a);
        sum.add(b);
        expect(toHex(sum.bytes())).toBe(toHex(reference(wordBits, a, b, 1)));
        sum.subtract(a);
        expect(toHex(sum.bytes())).toBe(toHex(b));
        sum.subtract(a);
        expect(toHex(sum.bytes())).toBe(toHex(reference(wordBits, b, a, -1)));
      }),
    );
  });

  it('centres words at the borders', () => {
    const half = 2 ** (wordBits - 1);
    const values = Int32Array.of(0, 1, -1, half - 1, -half);
    const sum = new WordSum(values.length, wordBits);
    sum.add(wordsOf(values, wordBits));
    expect([...sum.centred()]).toEqual([...values]);
    sum.add(wordsOf(Int32Array.of(0, 0, 0, 1, -1), wordBits));
    expect([...sum.centred()]).toEqual([0, 1, -1, -half, half - 1]);
  });

  it('the keystream is that of noble, also across chunks and for odd counts', () => {
    const key = randomBytes(32, seededRandom('stream'));
    for (const count of [1, 3, 7, 8192, 32_769, 70_001]) {
      const sum = new WordSum(count, wordBits);
      sum.addStream(key);
      const expected = ctr(key, new Uint8Array(16)).encrypt(new Uint8Array(sum.byteLength));
      expect(Buffer.compare(sum.bytes(), expected)).toBe(0);
    }
  });
});

it('a stream key changes with suite, round, device, width and seed', () => {
  const [intl, gm] = [getSuite('intl'), getSuite('gm')];
  const [seed, config] = [new Uint8Array(32), utf8('c'.repeat(32))];
  const keys = [
    streamKeys(intl, config, 'a', 16)(seed),
    streamKeys(gm, config, 'a', 16)(seed),
    streamKeys(intl, utf8('d'.repeat(32)), 'a', 16)(seed),
    streamKeys(intl, config, 'b', 16)(seed),
    streamKeys(intl, config, 'a', 32)(seed),
    streamKeys(intl, config, 'a', 16)(new Uint8Array(32).fill(1)),
  ];
  expect(new Set(keys.map(toHex)).size).toBe(keys.length);
  expect(toHex(keys[0]!)).toBe(toHex(intl.digest(transcript('share-stream', seed, config, 'a', 16))));
  const filled = randomBytes(32);
  const expected = gm.digest(transcript('share-stream', filled, config, 'é', 16));
  expect(toHex(streamKeys(gm, config, 'é', 16)(filled))).toBe(toHex(expected));
});

it('the folder refuses other lengths without effect, and merges by adding', () => {
  const [left, right] = [new WordFolder(3, 16), new WordFolder(3, 16)];
  const body = Uint8Array.of(1, 0, 2, 0, 255, 255);
  left.add(body);
  for (const wrong of [body.subarray(1), new Uint8Array(8), new Uint8Array(0)]) {
    expect(() => left.add(wrong)).toThrow(expect.objectContaining({ code: 'MALFORMED_MESSAGE' }));
    expect(() => left.subtract(wrong)).toThrow(expect.objectContaining({ code: 'MALFORMED_MESSAGE' }));
  }
  right.add(body);
  right.add(left.bytes());
  expect([...right.bytes()]).toEqual([2, 0, 4, 0, 254, 255]);
  right.subtract(body);
  expect([...right.bytes()]).toEqual([...left.bytes()]);
});

it('refuses shapes that no plan has', () => {
  for (const count of [0, -1, 1.5, 2 ** 20 + 1, Number.NaN]) {
    expect(() => new WordSum(count, 16)).toThrow(expect.objectContaining({ code: 'FIELD_OUT_OF_RANGE' }));
  }
  expect(() => new WordSum(4, 24 as WordBits)).toThrow(
    expect.objectContaining({ code: 'FIELD_OUT_OF_RANGE' }),
  );
});
