import { describe, expect, it } from 'vitest';
import { fromUtf8, utf8 } from '../bytes.ts';
import { canonicalJson } from './canonical-json.ts';
import {
  encodeLeaf,
  LEAF_BYTES_MAX,
  LEAF_FIELDS,
  LEAF_PSEUDONYMS_MAX,
  type Leaf,
  type LeafOf,
  parseLeaf,
  pseudonymParts,
} from './leaves.ts';

const h = (digit: string): string => digit.repeat(64);
const certificate: LeafOf<'round_certificate'> = {
  kind: 'round_certificate',
  version: 1,
  timeMs: 1_790_000_000_000,
  planHash: h('1'),
  round: 3,
  modelHash: h('2'),
  configHash: h('3'),
  committeeKeyId: h('4'),
  cohortRoot: h('5'),
  cohortCount: 4,
  signatures: [{ holderId: 'holder-1', signature: 'ab'.repeat(64) }],
};

describe('leaves', () => {
  it('encodes canonically and reads back', () => {
    const bytes = encodeLeaf(certificate);
    expect(fromUtf8(bytes)).toBe(canonicalJson(certificate));
    expect(parseLeaf(bytes)).toEqual(certificate);
  });

  it.each<[string, Record<string, unknown>]>([
    ['an unknown kind', { kind: 'x' }],
    ['a kind of the prototype', { kind: 'constructor' }],
    ['version 2', { version: 2 }],
    ['a negative time', { timeMs: -1 }],
    ['round 0', { round: 0 }],
    ['upper-case hexadecimal', { planHash: h('A') }],
    ['a short hash', { modelHash: 'ab' }],
    ['no signatures', { signatures: [] }],
    ['a signature with more fields', { signatures: [{ ...certificate.signatures[0], deviceId: 'x' }] }],
    ['a device identifier', { deviceId: '0'.repeat(32) }],
    ['65 signatures', { signatures: new Array(65).fill(certificate.signatures[0]) }],
  ])('refuses %s', (_name, change) => {
    const value = { ...certificate, ...change };
    expect(() => encodeLeaf(value as unknown as Leaf)).toThrow(
      expect.objectContaining({ code: 'MALFORMED_MESSAGE' }),
    );
    expect(() => parseLeaf(canonicalJson(value))).toThrow(/log leaf/);
  });

  it('refuses a missing field, another encoding and a part beyond the parts', () => {
    const { cohortRoot: _, ...missing } = certificate;
    expect(() => parseLeaf(canonicalJson(missing))).toThrow(/cohortRoot must be/);
    expect(() => parseLeaf(utf8(JSON.stringify(certificate)))).toThrow(/canonical form/);
    const reservation = {
      kind: 'reservation',
      version: 1,
      timeMs: 0,
      planHash: h('1'),
      round: 1,
      order: '8',
      charge: '1/3',
      pseudonyms: [],
    };
    expect(parseLeaf(canonicalJson({ ...reservation, part: 1, parts: 1 }))).toMatchObject({ charge: '1/3' });
    expect(() => parseLeaf(canonicalJson({ ...reservation, part: 2, parts: 1 }))).toThrow(/part exceeds/);
  });

  it.each(['-1', '1e', '.5', '1/0', 'NaN', '', '1 ', '1/3/5'])('refuses %j as a real', (rdp) => {
    const leaf = {
      kind: 'reservation',
      version: 1,
      timeMs: 0,
      planHash: h('1'),
      round: 1,
      part: 1,
      parts: 1,
      order: 'zcdp',
      charge: rdp,
      pseudonyms: [],
    };
    expect(() => parseLeaf(canonicalJson(leaf))).toThrow(/charge must be/);
  });

  it('splits pseudonyms into parts that fit a tlog-tiles entry, sorted and without repeats', () => {
    const all = Array.from({ length: 2_000 }, (_, i) => (i * 7919).toString(16).padStart(64, '0'));
    const parts = pseudonymParts([...all, all[3]!]);
    expect(parts.map((p) => [p.part, p.parts, p.pseudonyms.length])).toEqual([
      [1, 3, 800],
      [2, 3, 800],
      [3, 3, 400],
    ]);
    expect(parts.flatMap((p) => p.pseudonyms)).toEqual([...all].sort());
    const leaf: Leaf = {
      kind: 'settlement',
      version: 1,
      timeMs: 2 ** 52,
      planHash: h('1'),
      round: 100_000,
      statementHash: h('2'),
      outcome: 'released',
      order: '4096',
      charge: '0.1',
      ...parts[0]!,
    };
    expect(encodeLeaf(leaf).length).toBeLessThan(LEAF_BYTES_MAX);
    expect(parts[0]!.pseudonyms.length).toBe(LEAF_PSEUDONYMS_MAX);
    const swapped = { ...leaf, pseudonyms: [leaf.pseudonyms[1]!, leaf.pseudonyms[0]!] };
    expect(() => encodeLeaf(swapped)).toThrow(/ascending/);
    expect(() => encodeLeaf({ ...leaf, pseudonyms: [h('1'), h('1')] })).toThrow(/ascending/);
  });

  it('takes what a sum without groups lacks, and nothing else, as optional', () => {
    const sum = {
      kind: 'opened_sum',
      version: 1,
      timeMs: 0,
      planHash: h('1'),
      round: 1,
      certificateHash: h('2'),
      sumHash: h('3'),
      length: 9,
      activeSet: ['a', 'b', 'c'],
    };
    const groups = { sizes: [3, 2, 2], valid: [true, false, true] };
    for (const leaf of [sum, { ...sum, groups }]) expect(parseLeaf(canonicalJson(leaf))).toEqual(leaf);
    for (const bad of [
      null,
      {},
      { ...groups, members: [] },
      { sizes: groups.sizes },
      { ...groups, sizes: [0, 2, 2] },
      { ...groups, valid: [1, 0, 1] },
      { ...groups, sizes: new Array(65).fill(2) },
    ])
      expect(() => parseLeaf(canonicalJson({ ...sum, groups: bad }))).toThrow(/groups must be/);
    const { length: _length, ...cut } = sum;
    expect(() => parseLeaf(canonicalJson(cut))).toThrow(/length must be/);
    expect(() => encodeLeaf({ ...sum, groups: undefined } as never)).toThrow(/groups must be/);
  });

  it('has no field that could hold a device or person identifier', () => {
    const names = JSON.stringify(LEAF_FIELDS)
      .match(/"[A-Za-z0-9]+":/g)!
      .join();
    expect(names).not.toMatch(/device|person|client|userId|patient/i);
  });
});
