import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromUtf8, utf8 } from '../bytes.ts';
import { getSuite } from '../identity/suite.ts';
import { cosignNote, encodeVerifierKey, type NoteSigner, signCheckpoint } from './checkpoint.ts';
import { leafHash, MerkleTree } from './merkle.ts';
import { cosignerAt, generateCosignerKey, noteVerifierOf } from './note-keys.ts';
import {
  encodeTlogPolicy,
  meetsQuorum,
  openCheckpointUnder,
  parseTlogPolicy,
  policyOfLogs,
} from './tlog-policy.ts';
import { encodeTlogProof, parseTlogProof, verifyTlogProof } from './tlog-proof.ts';
import {
  acceptCosignatures,
  encodeAddCheckpoint,
  parseAddCheckpoint,
  parseConflictSize,
} from './witness-protocol.ts';

const vectors = JSON.parse(readFileSync(new URL('../vectors/tlog.json', import.meta.url), 'utf8'));
const coded = (code: string) => expect.objectContaining({ code });
const suite = getSuite('intl');
const ORIGIN = 'log.example/t';

function logSigner(name = ORIGIN): NoteSigner {
  const pair = suite.generateSigningKey();
  return {
    name,
    algorithm: 'ed25519',
    publicKey: pair.publicKey,
    sign: (message) => suite.sign(pair.secretKey, message),
  };
}
const signer = logSigner();
const witnesses = ['a', 'b', 'c', 'd'].map((name) =>
  generateCosignerKey(`w.example/${name}`, 'cosignature-ed25519'),
);
const leaves = Array.from({ length: 21 }, (_, i) => utf8(`leaf ${i}`));
const tree = MerkleTree.fromLeafHashes(leaves.map((leaf) => leafHash(leaf)));
const checkpoint = signCheckpoint({ origin: ORIGIN, size: 21, root: tree.root() }, [signer]);
const cosigned = (...indices: number[]) =>
  indices.reduce((note, i) => cosignNote(note, cosignerAt(witnesses[i]!, 1000 + i)), checkpoint);
const policyText = (lines: string[]) =>
  encodeTlogPolicy({
    logs: [{ key: signer }],
    witnesses: witnesses.map((key, i) => ({ name: 'abcd'[i]!, key, url: `https://w.example/${i}` })),
    lines,
  });
const twoOf = policyText(['group x 2 a b c', 'group all all x d', 'quorum x']);

describe('tlog-policy', () => {
  it('the example of the document', () => {
    const keys = Array.from({ length: 7 }, (_, i) =>
      encodeVerifierKey(i === 0 ? signer : generateCosignerKey(`k.example/${i}`, 'cosignature-ed25519')),
    );
    const policy = parseTlogPolicy(
      [
        `log ${keys[0]}`,
        '',
        ...[1, 2, 3].map((i) => `witness X${i} ${keys[i]}`),
        'group X-witnesses 2 X1 X2 X3',
        '# comment',
        ...[1, 2, 3].map((i) => ` \twitness\tY${i}  ${keys[i + 3]} https://y.example/${i} `),
        'group Y-witnesses any Y1 Y2 Y3',
        'group X-and-Y all X-witnesses Y-witnesses',
        'quorum X-and-Y\n',
      ].join('\n'),
    );
    const met = (...names: string[]) => meetsQuorum(policy, new Set(names));
    expect(policy.witnesses[3]?.url).toBe('https://y.example/1');
    expect(met('X1', 'X3', 'Y2')).toBe(true);
    expect(met('X1', 'Y1', 'Y2', 'Y3')).toBe(false);
    expect(met('X1', 'X2', 'X3')).toBe(false);
    expect(met()).toBe(false);
  });

  const key = (i: number) => encodeVerifierKey(witnesses[i]!);
  it.each([
    ['no quorum', `witness a ${key(0)}\n`],
    ['two quorums', 'quorum none\nquorum none\n'],
    ['an undefined quorum', 'quorum a\n'],
    ['a quorum before its witness', `quorum a\nwitness a ${key(0)}\n`],
    ['a witness twice', `witness a ${key(0)}\nwitness b ${key(0)}\nquorum none\n`],
    ['a name twice', `witness a ${key(0)}\nwitness a ${key(1)}\nquorum none\n`],
    ['the name none', `witness none ${key(0)}\nquorum none\n`],
    ['none as member', 'group g any none\nquorum g\n'],
    ['a member of two groups', `witness a ${key(0)}\ngroup g any a\ngroup h any a\nquorum g\n`],
    ['a threshold of 0', `witness a ${key(0)}\ngroup g 0 a\nquorum g\n`],
    ['a threshold above n', `witness a ${key(0)}\ngroup g 2 a\nquorum g\n`],
    ['a threshold in hexadecimal', `witness a ${key(0)}\ngroup g 0x1 a\nquorum g\n`],
    ['an empty group', 'group g any\nquorum g\n'],
    ['a log key as witness', `witness a ${encodeVerifierKey(signer)}\nquorum none\n`],
    ['a log twice', `log ${encodeVerifierKey(signer)}\nlog ${encodeVerifierKey(signer)}\nquorum none\n`],
    ['a broken key', 'log a+b+c\nquorum none\n'],
    ['an unknown keyword', 'trust me\nquorum none\n'],
    ['words after the quorum', 'quorum none at all\n'],
    ['CRLF', 'quorum none\r\n'],
    ['a last line without newline', 'quorum none'],
    ['nothing', ''],
  ])('refuses %s', (_name, text) => {
    expect(() => parseTlogPolicy(text)).toThrow(coded('MALFORMED_MESSAGE'));
  });

  it('never throws anything but MALFORMED_MESSAGE, and names are octets', () => {
    const kelvin = parseTlogPolicy(`witness K ${key(0)}\nwitness \u212a ${key(1)}\nquorum K\n`);
    expect(kelvin.witnesses).toHaveLength(2);
    const word = fc.constantFrom(
      'log',
      'witness',
      'group',
      'quorum',
      'a',
      'b',
      'any',
      'all',
      '1',
      '2',
      key(0),
      key(1),
      ' ',
      '\t',
      '#',
      '\n',
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 40 }), (words) => {
        try {
          parseTlogPolicy(words.join(' '));
        } catch (error) {
          expect(error).toMatchObject({ code: 'MALFORMED_MESSAGE' });
        }
      }),
      { numRuns: 200 },
    );
  });

  it('opens what a quorum cosigned and nothing else', () => {
    const policy = parseTlogPolicy(twoOf);
    expect(
      openCheckpointUnder(cosigned(0, 2), policy).cosigners.map(({ name, timestampSeconds }) => [
        name,
        timestampSeconds,
      ]),
    ).toEqual([
      ['a', 1000],
      ['c', 1002],
    ]);
    expect(() => openCheckpointUnder(cosigned(0, 3), policy)).toThrow(coded('QUORUM_NOT_REACHED'));
    expect(() => openCheckpointUnder(cosigned(0, 0), policy)).toThrow(coded('QUORUM_NOT_REACHED'));
    const bad = cosigned(0, 1).replace(/.{4}=\n$/, (end) => `${end.startsWith('AAAA') ? 'BBBB' : 'AAAA'}=\n`);
    expect(() => openCheckpointUnder(bad, policy)).toThrow(coded('BAD_SIGNATURE'));
    // Witnesses alone are no log.
    const text = checkpoint.slice(0, checkpoint.indexOf('\n\n') + 2);
    const lines = cosigned(0, 1).slice(checkpoint.length);
    expect(() => openCheckpointUnder(text + lines, policy)).toThrow(/no log/);
    // A log that speaks for another origin.
    const other = signCheckpoint({ origin: 'other.example/log', size: 1, root: tree.root() }, [signer]);
    expect(() =>
      openCheckpointUnder(other, policyOfLogs([noteVerifierOf(encodeVerifierKey(signer))])),
    ).toThrow(coded('LOG_INCONSISTENT'));
  });
});

describe('tlog-proof', () => {
  const proof = {
    extra: leaves[7]!,
    index: 7,
    inclusion: tree.inclusionProof(7),
    checkpoint: cosigned(0, 1),
  };
  const policy = parseTlogPolicy(twoOf);

  it('reads and verifies what Go wrote, and writes the same text', () => {
    const read = parseTlogProof(vectors.tlogProof);
    expect(encodeTlogProof(read)).toBe(vectors.tlogProof);
    expect(fromUtf8(read.extra!)).toBe('{"leaf":511}');
    const keys = vectors.keys;
    const go = parseTlogPolicy(
      `log ${keys.log}\nwitness ed ${keys.ed25519}\nwitness ml ${keys.mlDsa44}\ngroup both all ed ml\nquorum both\n`,
    );
    expect(verifyTlogProof(vectors.tlogProof, { leafHash: leafHash(read.extra!), policy: go })).toMatchObject(
      {
        index: 511,
        checkpoint: { size: 700 },
      },
    );
  });

  it('round-trips and verifies', () => {
    const text = encodeTlogProof(proof);
    expect(parseTlogProof(utf8(text))).toEqual(proof);
    const { extra: _, ...bare } = proof;
    expect(parseTlogProof(encodeTlogProof(bare))).toEqual(bare);
    expect(verifyTlogProof(text, { leafHash: leafHash(leaves[7]!), policy })).toMatchObject({ index: 7 });
    expect(() => verifyTlogProof(text, { leafHash: leafHash(leaves[8]!), policy })).toThrow(
      coded('PROOF_INVALID'),
    );
    expect(() => verifyTlogProof({ ...proof, index: 8 }, { leafHash: leafHash(leaves[7]!), policy })).toThrow(
      coded('PROOF_INVALID'),
    );
    expect(() =>
      verifyTlogProof({ ...proof, checkpoint }, { leafHash: leafHash(leaves[7]!), policy }),
    ).toThrow(coded('QUORUM_NOT_REACHED'));
  });

  it('any changed byte is refused, but for the extra data that nobody signs', () => {
    const text = utf8(encodeTlogProof({ ...proof, extra: undefined }));
    fc.assert(
      fc.property(fc.nat({ max: text.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = text.slice();
        changed[at]! ^= change;
        expect(() => verifyTlogProof(changed, { leafHash: leafHash(leaves[7]!), policy })).toThrow(
          /tlog-proof|note|checkpoint|cosignature/,
        );
      }),
    );
  });

  const good = encodeTlogProof(proof);
  it.each([
    ['another version', good.replace('@v1', '@v2')],
    ['no index', good.replace(/index 7\n/, '')],
    ['a leading zero', good.replace('index 7', 'index 07')],
    ['a negative index', good.replace('index 7', 'index -7')],
    ['an index beyond 2^53', good.replace('index 7', 'index 9007199254740993')],
    ['a short hash', good.replace(/index 7\n/, 'index 7\nAAAA\n')],
    ['base64 without padding', good.replace(/=\n\n/, '\n\n')],
    [
      '60 hashes',
      good.replace(/index 7\n/, `index 7\n${`${Buffer.alloc(32).toString('base64')}\n`.repeat(60)}`),
    ],
    ['extra after index', good.replace(/(extra .*\n)(index 7\n)/, '$2$1')],
    ['no checkpoint', good.slice(0, good.indexOf('\n\n') + 2)],
    ['CRLF', good.replaceAll('\n', '\r\n')],
    ['no UTF-8', new Uint8Array([...utf8(good), 0xff, 0x0a])],
    ['a megabyte', 'x'.repeat(1_000_000)],
  ])('refuses %s', (_name, text) => {
    expect(() => parseTlogProof(text)).toThrow(coded('MALFORMED_MESSAGE'));
  });
});

describe('the witness protocol as text', () => {
  // c2sp.org/tlog-witness: the example of the document.
  const EXAMPLE =
    'old 20852014\n' +
    'PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\njrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n' +
    '5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\n' +
    'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n' +
    '— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n' +
    '— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n';

  it('reads the example and writes it back', () => {
    const request = parseAddCheckpoint(utf8(EXAMPLE));
    expect(request).toMatchObject({ oldSize: 20852014, proof: { length: 4 } });
    expect(encodeAddCheckpoint(request)).toBe(EXAMPLE);
  });

  it.each([
    ['no old line', EXAMPLE.replace('old 20852014\n', '')],
    ['a leading zero', EXAMPLE.replace('old 2', 'old 02')],
    ['a sign', EXAMPLE.replace('old 2', 'old +2')],
    [
      '64 proof lines',
      EXAMPLE.replace('old 20852014\n', `old 1\n${`${Buffer.alloc(32).toString('base64')}\n`.repeat(60)}`),
    ],
    [
      'a hash of 31 bytes',
      EXAMPLE.replace('PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=', Buffer.alloc(31).toString('base64')),
    ],
    ['no checkpoint', EXAMPLE.slice(0, EXAMPLE.indexOf('\n\n') + 2)],
    ['a checkpoint that does not end in a newline', EXAMPLE.slice(0, -1)],
    ['too much', EXAMPLE + '— x AAAAAAA=\n'.repeat(10_000)],
  ])('refuses %s', (_name, body) => {
    expect(() => parseAddCheckpoint(utf8(body))).toThrow(coded('MALFORMED_MESSAGE'));
  });

  it('takes cosignatures of known keys only, and none that is bad', () => {
    const verifiers = witnesses.slice(0, 1).map((key) => noteVerifierOf(encodeVerifierKey(key)));
    const answer = cosigned(0, 1).slice(checkpoint.length);
    expect(acceptCosignatures(checkpoint, answer, verifiers).join('')).toBe(
      cosigned(0).slice(checkpoint.length),
    );
    const other = signCheckpoint({ origin: ORIGIN, size: 20, root: tree.root(20) }, [signer]);
    expect(() => acceptCosignatures(other, answer, verifiers)).toThrow(coded('BAD_SIGNATURE'));
    expect(() => acceptCosignatures(checkpoint, cosigned(1).slice(checkpoint.length), verifiers)).toThrow(
      coded('BAD_SIGNATURE'),
    );
    // A log signature in place of a cosignature, and an answer that is none.
    expect(() =>
      acceptCosignatures(checkpoint, checkpoint.slice(checkpoint.indexOf('—')), verifiers),
    ).toThrow(coded('BAD_SIGNATURE'));
    expect(() => acceptCosignatures(checkpoint, 'sorry\n', verifiers)).toThrow(coded('MALFORMED_MESSAGE'));
    expect(() => acceptCosignatures(checkpoint, answer.slice(0, -1), verifiers)).toThrow(
      coded('MALFORMED_MESSAGE'),
    );
    expect(parseConflictSize('0\n')).toBe(0);
    for (const body of ['', '5', '-1\n', '05\n', '1e3\n', '9007199254740993\n'])
      expect(() => parseConflictSize(body)).toThrow(coded('MALFORMED_MESSAGE'));
  });
});
