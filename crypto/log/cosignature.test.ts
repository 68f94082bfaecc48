import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromUtf8, toHex, utf8 } from '../bytes.ts';
import {
  type CosignatureAlgorithm,
  cosignatureAlgorithms,
  cosignNote,
  decodeVerifierKey,
  encodeVerifierKey,
  noteKeyId,
  openCheckpoint,
  parseSignedNote,
  signCheckpoint,
  verifyNote,
} from './checkpoint.ts';
import { cosignedMessage, parseTimestampedSignature } from './cosignature.ts';
import { generateMlDsaKey, mlDsaPublicKeyOf, mlDsaSign, mlDsaVerify } from './ml-dsa.ts';
import { cosignerAt, generateCosignerKey, noteVerifierOf } from './note-keys.ts';

const vectors = JSON.parse(readFileSync(new URL('../vectors/tlog.json', import.meta.url), 'utf8'));
const coded = (code: string) => expect.objectContaining({ code });
const TIME = 1_790_000_000;
const text = `log.example/a\n7\n${Buffer.alloc(32, 5).toString('base64')}\n`;
const noteOf = (algorithm: CosignatureAlgorithm) => {
  const key = generateCosignerKey('witness.example/w', algorithm);
  const note = signCheckpoint({ origin: 'log.example/a', size: 7, root: new Uint8Array(32).fill(5) }, [
    cosignerAt(key, TIME),
  ]);
  return { key, note, verifier: noteVerifierOf(encodeVerifierKey(key)) };
};

describe('made by Go (transparency-dev/formats, golang.org/x/mod, filippo.io/mldsa)', () => {
  it.each(['log', 'ed25519', 'mlDsa44'])(
    'the %s signature of the checkpoint verifies and its key line reads',
    (name) => {
      const verifier = noteVerifierOf(vectors.keys[name]);
      expect(encodeVerifierKey(verifier)).toBe(vectors.keys[name]);
      const opened = openCheckpoint(vectors.checkpoint, [verifier], 'log.example/vectors');
      expect(opened).toMatchObject({ size: 700, signedBy: [verifier] });
      expect(toHex(opened.root)).toBe(vectors.root);
      const changed = vectors.checkpoint.replace('\n700\n', '\n701\n');
      expect(() => openCheckpoint(changed, [verifier])).toThrow(coded('BAD_SIGNATURE'));
    },
  );
});

describe('cosignatures', () => {
  it.each(cosignatureAlgorithms)('%s: sign, verify, time', (algorithm) => {
    const { note, verifier } = noteOf(algorithm);
    expect(verifyNote(note, [verifier]).signedBy).toEqual([verifier]);
    const [line] = parseSignedNote(note).signatures;
    expect(parseTimestampedSignature(line!.signature).timestampSeconds).toBe(TIME);
  });

  it.each(cosignatureAlgorithms)('%s: a changed bit of time or signature is refused', (algorithm) => {
    const { key, verifier } = noteOf(algorithm);
    const signature = cosignerAt(key, TIME).sign(utf8(text));
    expect(verifier.verify(utf8(text), signature)).toBe(true);
    fc.assert(
      fc.property(fc.nat({ max: signature.length * 8 - 1 }), (bit) => {
        const changed = signature.slice();
        changed[bit >> 3]! ^= 1 << (bit & 7);
        let valid = false;
        try {
          valid = verifier.verify(utf8(text), changed);
        } catch (error) {
          // A time beyond 2^53 seconds is refused by the parser.
          expect(error).toMatchObject({ code: 'MALFORMED_MESSAGE' });
        }
        expect(valid).toBe(false);
      }),
      { numRuns: 60 },
    );
    expect(() => verifier.verify(utf8(text), signature.subarray(0, 8))).toThrow(coded('MALFORMED_MESSAGE'));
    expect(verifier.verify(utf8(text), signature.subarray(0, -1))).toBe(false);
  });

  it('the signed messages are those of the document', () => {
    expect(
      fromUtf8(cosignedMessage({ name: 'w', algorithm: 'cosignature-ed25519' }, text, 1_679_315_147)),
    ).toBe(`cosignature/v1\ntime 1679315147\n${text}`);
    // label ‖ 1 "w" ‖ time ‖ 13 "log.example/a" ‖ start 0 ‖ end 7 ‖ root
    expect(toHex(cosignedMessage({ name: 'w', algorithm: 'cosignature-ml-dsa-44' }, text, 258))).toBe(
      `737562747265652f76310a000177000000000000010200`.slice(0, -2) +
        `0d${toHex(utf8('log.example/a'))}${'0'.repeat(16)}0000000000000007${'05'.repeat(32)}`,
    );
  });

  it('ML-DSA binds the name of the cosigner and leaves extension lines out; Ed25519 does the reverse', () => {
    const messages = (algorithm: CosignatureAlgorithm, name: string, note: string) =>
      toHex(cosignedMessage({ name, algorithm }, note, TIME));
    const extended = `${text}extension\n`;
    expect(messages('cosignature-ml-dsa-44', 'a', text)).not.toBe(
      messages('cosignature-ml-dsa-44', 'b', text),
    );
    expect(messages('cosignature-ml-dsa-44', 'a', text)).toBe(
      messages('cosignature-ml-dsa-44', 'a', extended),
    );
    expect(messages('cosignature-ed25519', 'a', text)).toBe(messages('cosignature-ed25519', 'b', text));
    expect(messages('cosignature-ed25519', 'a', text)).not.toBe(
      messages('cosignature-ed25519', 'a', extended),
    );
  });

  it('one key has another id as log key than as witness key', () => {
    const key = generateCosignerKey('witness.example/w', 'cosignature-ed25519');
    expect(noteKeyId({ ...key, algorithm: 'ed25519' })).not.toEqual(noteKeyId(key));
  });

  it('a log signature is no cosignature: the same key under the other type does not verify', () => {
    const { key, note } = noteOf('cosignature-ed25519');
    const asLog = noteVerifierOf(encodeVerifierKey({ ...key, algorithm: 'ed25519' }));
    expect(() => verifyNote(note, [asLog])).toThrow(coded('BAD_SIGNATURE'));
    const [line] = parseSignedNote(note).signatures;
    expect(asLog.verify(utf8(text), line!.signature.subarray(8))).toBe(false);
  });

  it('refuses to sign what is no checkpoint, or without a time', () => {
    const key = generateCosignerKey('witness.example/w', 'cosignature-ed25519');
    expect(() => cosignNote('no checkpoint\n\n— x AAAAAAA=\n', cosignerAt(key, TIME))).toThrow(
      coded('MALFORMED_MESSAGE'),
    );
    expect(() => cosignerAt(key, 0)).toThrow(coded('FIELD_OUT_OF_RANGE'));
    expect(() => cosignerAt(key, 1.5)).toThrow(coded('FIELD_OUT_OF_RANGE'));
  });

  it('a key line of another length, type or id is refused', () => {
    const line = vectors.keys.mlDsa44 as string;
    expect(() => decodeVerifierKey(line.replace(/\+[0-9a-f]{8}\+/, '+00000000+'))).toThrow(/key id/);
    expect(() => decodeVerifierKey(`${line.slice(0, -8)}`)).toThrow(coded('MALFORMED_MESSAGE'));
    expect(() => decodeVerifierKey(`${'a'.repeat(5000)}+00000000+BA==`)).toThrow(/too long/);
  });
});

describe('ML-DSA-44', () => {
  it('gives the public key of a seed and refuses other lengths', () => {
    const { publicKey, secretKey } = generateMlDsaKey();
    expect(mlDsaPublicKeyOf(secretKey)).toEqual(publicKey);
    const message = utf8('m');
    const signature = mlDsaSign(secretKey, message);
    expect(mlDsaVerify(publicKey, message, signature)).toBe(true);
    expect(mlDsaVerify(publicKey, utf8('n'), signature)).toBe(false);
    expect(mlDsaVerify(publicKey.subarray(1), message, signature)).toBe(false);
    expect(mlDsaVerify(publicKey, message, signature.subarray(1))).toBe(false);
    expect(() => mlDsaSign(secretKey.subarray(1), message)).toThrow(coded('FIELD_OUT_OF_RANGE'));
  });
});
