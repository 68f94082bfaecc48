import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { transcript } from '../crypto/bytes.ts';
import { isPulsefoldError } from '../crypto/error.ts';
import { parse } from './fields.ts';
import {
  abortRequestSchema,
  acceptRequestSchema,
  ceremonyStepRequestSchema,
  certifyRequestSchema,
  decodeBeginPayload,
  decodeCombinePayload,
  decodeCommitKeyPayload,
  decodeRevealPayload,
  decodeRoundKeyPayload,
  decodeTestPayload,
  drawReplySchema,
  encodeBeginPayload,
  encodeCombinePayload,
  encodeCommitKeyPayload,
  encodeRevealPayload,
  encodeRoundKeyPayload,
  encodeTestPayload,
  openHeaderSchema,
  phaseBefore,
  phasesOf,
  readTranscript,
} from './keyholder-messages.ts';

const coded = (code: string, message = /./) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });
const plain = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const bytes = fc.uint8Array({ maxLength: 200 });

describe('readTranscript', () => {
  it('gives back what transcript() encoded', () => {
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 8 }), (fields) => {
        const read = readTranscript('label', transcript('label', ...fields), { minimum: 0, maximum: 8 });
        expect(read.map(plain)).toEqual(fields.map(plain));
      }),
    );
  });

  it('answers any other bytes with a coded error or with fields that encode to them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), bytes, (noise, field) => {
        const good = transcript('label', field);
        for (const input of [noise, good.subarray(0, noise.length), Buffer.concat([good, noise])]) {
          try {
            const read = readTranscript('label', input, { minimum: 0, maximum: 4 });
            expect(plain(transcript('label', ...read))).toBe(plain(input));
          } catch (error) {
            expect(isPulsefoldError(error) && error.code).toBe('MALFORMED_MESSAGE');
          }
        }
      }),
    );
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['nothing', new Uint8Array(0), /expected a message of kind label/],
    ['another label', transcript('other', 'x'), /expected a message of kind label/],
    ['a length beyond the end', Uint8Array.of(255, 255, 255, 255, 1), /overruns/],
    ['a cut length', Uint8Array.of(1, 0), /cut short/],
    ['too few fields', transcript('label'), /too few/],
    ['too many fields', transcript('label', 'a', 'b', 'c'), /too many/],
  ])('refuses %s', (_name, input, message) => {
    const read = () => readTranscript('label', input, { minimum: 1, maximum: 2 });
    expect(read).toThrow(coded('MALFORMED_MESSAGE', message));
  });
});

describe('ceremony payloads', () => {
  it('come back as they went', () => {
    const [a, b] = [Uint8Array.of(1, 2), Uint8Array.of(3)];
    expect(decodeBeginPayload(encodeBeginPayload({ commitment: a, sealingPublicKey: b }))).toEqual({
      commitment: a,
      sealingPublicKey: b,
    });
    expect(decodeCommitKeyPayload(encodeCommitKeyPayload(a))).toEqual(a);
    expect(decodeCombinePayload(encodeCombinePayload({ c0: a, c1: b }))).toEqual({ c0: a, c1: b });
    const reveal = { publicPart: a, shareDigests: [b, new Uint8Array(0), a] };
    expect(decodeRevealPayload(encodeRevealPayload(reveal), 3)).toEqual(reveal);
    const openings = [
      { testerIndex: 1, subset: [1, 2], partial: a },
      { testerIndex: 4, subset: [1, 10], partial: b },
    ];
    expect(decodeTestPayload(encodeTestPayload(openings))).toEqual(openings);
  });

  it('refuse another number of shares, and subsets that are none', () => {
    const reveal = encodeRevealPayload({ publicPart: new Uint8Array(1), shareDigests: [new Uint8Array(1)] });
    expect(() => decodeRevealPayload(reveal, 4)).toThrow(coded('MALFORMED_MESSAGE'));
    expect(() => decodeTestPayload(transcript('ceremony-openings', '1:1,2'))).toThrow(
      coded('MALFORMED_MESSAGE'),
    );
    for (const name of ['', '1', '1:', '1:1,', ':1', '1:1;2', '1:1,2'.padEnd(100, ',3'), '\u{1F600}:1'])
      expect(() => decodeTestPayload(transcript('ceremony-openings', name, 'x'))).toThrow(
        coded('MALFORMED_MESSAGE'),
      );
    expect(() => decodeTestPayload(transcript('ceremony-openings', Uint8Array.of(0xff, 0xfe), 'x'))).toThrow(
      coded('MALFORMED_MESSAGE'),
    );
  });

  it('follow one another', () => {
    for (const transport of ['bfv', 'shares'] as const) {
      const phases = phasesOf(transport);
      expect(phases.map((phase) => phaseBefore(transport, phase))).toEqual([
        undefined,
        ...phases.slice(0, -1),
      ]);
    }
    expect(phaseBefore('bfv', 'FINISH')).toBe('TEST');
    expect(phaseBefore('shares', 'FINISH')).toBe('BEGIN');
    expect(() => phaseBefore('shares', 'REVEAL')).toThrow(coded('CEREMONY_FAILED'));
  });

  it('carry the round key of a holder', () => {
    const publicKey = new Uint8Array(1216).fill(5);
    expect(decodeRoundKeyPayload(encodeRoundKeyPayload(publicKey))).toEqual(publicKey);
    for (const bad of [
      new Uint8Array(0),
      encodeRoundKeyPayload(publicKey).subarray(1),
      transcript('ceremony-key', publicKey),
    ])
      expect(() => decodeRoundKeyPayload(bad)).toThrow(coded('MALFORMED_MESSAGE'));
  });
});

describe('requests', () => {
  const hash = new Uint8Array(32);
  const binding = { planHash: hash, round: 1, modelHash: hash, configHash: hash, committeeKeyId: hash };
  const certify = { ...binding, cohortRoot: hash, deviceIds: ['0'.repeat(32)] };
  const header = {
    ...binding,
    cohortRoot: hash,
    cohortCount: 3,
    signatures: [],
    activeSet: [1, 2],
    digitCount: 3,
    draws: [],
  };
  const step = { planHash: hash, round: 1, phase: 'BEGIN', parts: [], shares: [] };

  const draw = (length = 96) => ({
    holderId: 'hospital',
    values: new Uint8Array(length),
    signature: new Uint8Array(64),
  });

  it('of the right form are taken', () => {
    expect(parse(certifyRequestSchema, certify)).toEqual(certify);
    expect(parse(openHeaderSchema, header)).toEqual(header);
    const { draws: _draws, ...older } = header;
    expect(parse(openHeaderSchema, older)).toEqual(header);
    expect(parse(drawReplySchema, draw())).toEqual(draw());
    expect(parse(openHeaderSchema, { ...header, draws: [draw()] })).toEqual({ ...header, draws: [draw()] });
    expect(parse(ceremonyStepRequestSchema, step)).toEqual(step);
  });

  it.each<[string, () => unknown]>([
    ['a round of 0', () => parse(certifyRequestSchema, { ...certify, round: 0 })],
    ['a fractional round', () => parse(certifyRequestSchema, { ...certify, round: 1.5 })],
    ['a round that is NaN', () => parse(certifyRequestSchema, { ...certify, round: Number.NaN })],
    ['a short hash', () => parse(certifyRequestSchema, { ...certify, modelHash: new Uint8Array(31) })],
    [
      'a cohort beyond the cap',
      () => parse(certifyRequestSchema, { ...certify, deviceIds: Array(100_001).fill('0'.repeat(32)) }),
    ],
    [
      'a device id in capitals',
      () => parse(certifyRequestSchema, { ...certify, deviceIds: ['A'.repeat(32)] }),
    ],
    [
      'an unknown phase',
      () => parse(ceremonyStepRequestSchema, { ...step, phase: 'CEREMONY_PHASE_UNSPECIFIED' }),
    ],
    [
      'a part beyond the cap',
      () =>
        parse(ceremonyStepRequestSchema, {
          ...step,
          parts: [{ holderId: 'a', payload: new Uint8Array(1024 * 1024 + 1), signature: new Uint8Array(64) }],
        }),
    ],
    [
      'too many entries',
      () => parse(acceptRequestSchema, { planHash: hash, round: 1, entries: Array(1001).fill(null) }),
    ],
    ['a long reason', () => parse(abortRequestSchema, { planHash: hash, round: 1, reason: 'x'.repeat(201) })],
    ['a count of 0', () => parse(openHeaderSchema, { ...header, cohortCount: 0 })],
    ['more draws than holders', () => parse(openHeaderSchema, { ...header, draws: Array(17).fill(draw()) })],
    ['a short draw', () => parse(openHeaderSchema, { ...header, draws: [draw(64)] })],
    ['a draw that is none', () => parse(openHeaderSchema, { ...header, draws: [null] })],
    ['a draw of nobody', () => parse(drawReplySchema, { ...draw(), holderId: '' })],
    ['nothing at all', () => parse(openHeaderSchema, undefined)],
  ])('with %s are refused', (_name, read) => {
    expect(read).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^(MALFORMED_MESSAGE|FIELD_OUT_OF_RANGE)$/) }),
    );
  });
});
