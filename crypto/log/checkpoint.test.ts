import { sign as edSign, verify as edVerify, generateKeyPairSync } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromBase64, toBase64, toHex, utf8 } from '../bytes.ts';
import {
  checkpointText,
  cosignNote,
  decodeVerifierKey,
  encodeVerifierKey,
  type NoteKey,
  type NoteSigner,
  type NoteVerifier,
  noteKeyId,
  openCheckpoint,
  parseCheckpointText,
  parseSignedNote,
  signCheckpoint,
  signNote,
  verifyNote,
} from './checkpoint.ts';

function makeKey(name: string, algorithm: NoteKey['algorithm'] = 'ed25519'): NoteSigner & NoteVerifier {
  const pair = generateKeyPairSync('ed25519');
  const raw = fromBase64(
    pair.publicKey.export({ format: 'jwk' }).x!.replaceAll('-', '+').replaceAll('_', '/'),
  );
  // For the format only, an "SM2" key here is Ed25519 under another type byte and key length.
  const publicKey = algorithm === 'sm2' ? new Uint8Array([4, ...raw, ...raw]) : raw;
  return {
    name,
    algorithm,
    publicKey,
    sign: (message) => new Uint8Array(edSign(null, message, pair.privateKey)),
    verify: (message, signature) => edVerify(null, message, pair.publicKey, signature),
  };
}

/** Verifier of a pinned key line, by noble rather than node:crypto. */
function nobleVerifier(line: string): NoteVerifier {
  const key = decodeVerifierKey(line);
  return { ...key, verify: (message, signature) => ed25519.verify(signature, message, key.publicKey) };
}

// golang.org/x/mod/sumdb/note, note_test.go: a key and a note it signed.
const NEUMANN = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const NEUMANN_NOTE =
  'If you think cryptography is the answer to your problem,\n' +
  "then you don't know what your problem is.\n\n" +
  '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';
// c2sp.org/tlog-checkpoint: the example of the document.
const EXAMPLE =
  'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n' +
  '— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n';

describe('published vectors', () => {
  it('verifies the note of golang.org/x/mod/sumdb/note', () => {
    const key = nobleVerifier(NEUMANN);
    expect(toHex(noteKeyId(key))).toBe('c74f20a3');
    expect(encodeVerifierKey(key)).toBe(NEUMANN);
    expect(verifyNote(NEUMANN_NOTE, [key]).signedBy).toEqual([key]);
    expect(() => verifyNote(NEUMANN_NOTE.replace('answer', 'Answer'), [key])).toThrow(
      expect.objectContaining({ code: 'BAD_SIGNATURE' }),
    );
  });
  it('parses the example of tlog-checkpoint and writes the same text', () => {
    const note = parseSignedNote(utf8(EXAMPLE));
    const checkpoint = parseCheckpointText(note.text);
    expect(checkpoint).toMatchObject({
      origin: 'example.com/behind-the-sofa',
      size: 20852163,
      extensions: [],
    });
    expect(checkpointText(checkpoint)).toBe(note.text);
    expect(note.signatures).toMatchObject([{ name: 'example.com/behind-the-sofa', keyId: '033de0ae' }]);
  });
});

const root = new Uint8Array(32).fill(7);
const log = makeKey('pulsefold.example/log');
const witness = makeKey('witness.example/w1');
const note = signCheckpoint({ origin: log.name, size: 42, root }, [log]);

describe('checkpoints', () => {
  it('round-trips, ignores unknown witnesses and counts known ones', () => {
    const cosigned = cosignNote(note, witness);
    expect(openCheckpoint(cosigned, [log], log.name)).toMatchObject({
      origin: log.name,
      size: 42,
      root,
      signedBy: [log],
    });
    expect(openCheckpoint(cosigned, [witness, log]).signedBy).toEqual([log, witness]);
  });
  it('an SM2 key has its own type: the same bytes under 0x01 are another key', () => {
    const sm2 = makeKey('pulsefold.example/log', 'sm2');
    const signed = signCheckpoint({ origin: sm2.name, size: 1, root }, [sm2]);
    expect(openCheckpoint(signed, [sm2]).size).toBe(1);
    expect(decodeVerifierKey(encodeVerifierKey(sm2)).algorithm).toBe('sm2');
    expect(() => openCheckpoint(signed, [log])).toThrow(/no signature of a known key/);
    expect(() => noteKeyId({ ...sm2, algorithm: 'ed25519' })).toThrow(/32 bytes/);
  });
  it('a false line of a known key spoils a note that another known key signed', () => {
    const lines = signNote('x\n', [log, { ...witness, sign: () => new Uint8Array(64) }]);
    expect(() => verifyNote(lines, [log, witness])).toThrow(/witness\.example/);
    expect(verifyNote(lines, [log]).signedBy).toEqual([log]);
  });
  it('another key under the same name is unknown, and a throwing verifier is no signature', () => {
    expect(() => openCheckpoint(note, [makeKey(log.name)])).toThrow(/no signature of a known key/);
    const throwing = {
      ...log,
      verify: () => {
        throw new Error('library');
      },
    };
    expect(() => openCheckpoint(note, [throwing])).toThrow(
      expect.objectContaining({ code: 'BAD_SIGNATURE' }),
    );
  });
  it('of another log is refused', () => {
    expect(() => openCheckpoint(note, [log], 'pulsefold.example/other')).toThrow(
      expect.objectContaining({ code: 'LOG_INCONSISTENT' }),
    );
  });
  it('any changed byte is refused', () => {
    const bytes = utf8(note);
    fc.assert(
      fc.property(fc.nat({ max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, xor) => {
        const changed = bytes.slice();
        changed[at]! ^= xor;
        expect(() => openCheckpoint(changed, [log], log.name)).toThrow(/signed note|checkpoint/);
      }),
    );
  });
});

describe('hostile notes', () => {
  const line = note.slice(note.lastIndexOf('—'));
  const withText = (text: string): string => `${text}\n${line}`;
  it.each([
    ['empty', ''],
    ['no newline at the end', note.slice(0, -1)],
    ['no signatures', checkpointText({ origin: 'a', size: 1, root })],
    ['a blank line and nothing', `${checkpointText({ origin: 'a', size: 1, root })}\n`],
    ['a control character', note.replace('42', '4\u00002')],
    ['a carriage return', note.replaceAll('\n', '\r\n')],
    ['a hyphen for the dash', note.replace('—', '-')],
    ['two spaces', note.replace('— ', '—  ')],
    ['a plus in the name', note.replace(`— ${log.name}`, '— a+b')],
    ['base64 without padding', note.replace(/=+\n$/, '\n')],
    ['a short signature', `a\n\n— a ${toBase64(new Uint8Array(4))}\n`],
    ['a lone surrogate', `\ud800\n\n${line}`],
    ['33 signatures', `a\n\n${line.repeat(33)}`],
    ['70,000 bytes', `${'a'.repeat(70_000)}\n\n${line}`],
  ])('%s', (_name, text) => {
    expect(() => parseSignedNote(text)).toThrow(expect.objectContaining({ code: 'MALFORMED_MESSAGE' }));
  });
  it('bytes that are not UTF-8', () => {
    expect(() => parseSignedNote(Uint8Array.of(0xff, 0x0a, 0x0a))).toThrow(/UTF-8/);
  });
  const r = toBase64(root);
  it.each([
    ['a leading zero', `a\n01\n${r}\n`],
    ['a sign', `a\n+1\n${r}\n`],
    ['hexadecimal', `a\n0x1\n${r}\n`],
    ['2^53', `a\n9007199254740992\n${r}\n`],
    ['a long number', `a\n${'9'.repeat(40)}\n${r}\n`],
    ['no root', 'a\n1\n'],
    ['a short root', `a\n1\n${toBase64(root.slice(1))}\n`],
    ['url-safe base64', `a\n1\n${toBase64(new Uint8Array(32).fill(255)).replaceAll('/', '_')}\n`],
    ['an empty origin', `\n1\n${r}\n`],
    ['an empty extension', `a\n1\n${r}\n\nx\n`],
    ['17 extensions', `a\n1\n${r}\n${'x\n'.repeat(17)}`],
  ])('a checkpoint with %s', (_name, text) => {
    expect(() => parseCheckpointText(text)).toThrow(expect.objectContaining({ code: 'MALFORMED_MESSAGE' }));
    expect(() => parseCheckpointText(parseSignedNote(withText(text)).text)).toThrow();
  });
  it('verifier keys with a wrong id, type or length', () => {
    for (const bad of [
      NEUMANN.replace('c74f', 'c74e'),
      NEUMANN.replace('ARpc', 'Arpc'),
      'a+b',
      `${NEUMANN}AAAA`,
    ])
      expect(() => decodeVerifierKey(bad)).toThrow(expect.objectContaining({ code: 'MALFORMED_MESSAGE' }));
  });
});
