import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex, utf8 } from '../bytes.ts';
import { canonicalHash, canonicalJson, parseCanonicalJson } from './canonical-json.ts';

const jsonValue = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.string({ unit: 'grapheme' }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(
      fc.string().filter((key) => key !== '__proto__'),
      tie('value'),
      { maxKeys: 4 },
    ),
  ),
})).value;

describe('canonicalJson', () => {
  it('sorts keys by UTF-16 code units and escapes as RFC 8785 §3.2.3 does', () => {
    // The example of RFC 8785 §3.2.3.
    const value = {
      '\u20ac': 'Euro Sign',
      '\r': 'Carriage Return',
      '\ufb33': 'Hebrew Letter Dalet With Dagesh',
      '1': 'One',
      '\ud83d\ude00': 'Emoji: Grinning Face',
      '\u0080': 'Control',
      '\u00f6': 'Latin Small Letter O With Diaeresis',
    };
    expect(Object.values(JSON.parse(canonicalJson(value)))).toHaveLength(7);
    expect(canonicalJson(value)).toBe(
      '{"\\r":"Carriage Return","1":"One","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis",' +
        '"\u20ac":"Euro Sign","\ud83d\ude00":"Emoji: Grinning Face","\ufb33":"Hebrew Letter Dalet With Dagesh"}',
    );
    expect(canonicalJson('\u20ac$\u000f\nA\'B"\\"/')).toBe('"\u20ac$\\u000f\\nA\'B\\"\\\\\\"/"');
  });

  it('does not depend on insertion order and has a fixed hash', () => {
    expect(canonicalJson({ b: [1, { d: null, c: true }], a: -5 })).toBe(
      '{"a":-5,"b":[1,{"c":true,"d":null}]}',
    );
    // printf '{"a":1,"b":"2"}' | sha256sum
    expect(toHex(canonicalHash({ b: '2', a: 1 }))).toBe(
      'f5906d3905fc68a011de64a969e5dc13e3e32a74bfee234fcf8ecd897a5caaca',
    );
  });

  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  class Box {
    value = 1;
  }
  const named = Object.assign([1], { extra: 2 });
  const sparse = [1, 2, 3];
  delete sparse[1];
  it.each([
    ['NaN', Number.NaN],
    ['infinity', -Infinity],
    ['a fraction', 0.5],
    ['minus zero', -0],
    ['2^53', 2 ** 53],
    ['bigint', 1n],
    ['undefined', undefined],
    ['an undefined property', { a: undefined }],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a symbol key', { [Symbol('x')]: 1 }],
    ['a Date', new Date(0)],
    ['a Map', new Map()],
    ['bytes', new Uint8Array(2)],
    ['a class instance', new Box()],
    ['a boxed number', Object(1)],
    [
      'a getter',
      {
        get a() {
          return 1;
        },
      },
    ],
    ['a hidden property', Object.defineProperty({}, 'a', { value: 1 })],
    ['a hole', sparse],
    ['a named array', named],
    ['a lone surrogate', '\ud800'],
    ['a lone surrogate key', { '\udc00': 1 }],
    ['__proto__', JSON.parse('{"__proto__":1}')],
    ['a cycle', cycle],
  ])('refuses %s, also nested', (_name, value) => {
    expect(() => canonicalJson(value)).toThrow(expect.objectContaining({ code: 'MALFORMED_MESSAGE' }));
    expect(() => canonicalJson({ a: [value] })).toThrow(/canonical JSON/);
  });

  it('names the path of the offending value', () => {
    expect(() => canonicalJson({ plan: { clip: [1, 1.5] } })).toThrow(/\$\.plan\.clip\[1\]/);
  });

  it('round-trips every value it accepts', () => {
    fc.assert(
      fc.property(jsonValue, (value) => {
        const text = canonicalJson(value);
        expect(canonicalJson(parseCanonicalJson(utf8(text)))).toBe(text);
      }),
    );
  });
});

describe('parseCanonicalJson', () => {
  it.each([
    ['duplicate keys', '{"a":1,"a":1}'],
    ['white space', '{"a": 1}'],
    ['unsorted keys', '{"b":1,"a":1}'],
    ['integer keys in source order', '{"a":1,"1":1}'],
    ['an exponent', '[1e2]'],
    ['a fraction', '[1.0]'],
    ['minus zero', '[-0]'],
    ['a large integer', '[9007199254740993]'],
    ['a needless escape', '"\\u0041"'],
    ['trailing text', '1 '],
    ['a byte order mark', '\ufeff1'],
    ['no JSON', '{'],
    ['deep nesting', `${'['.repeat(40)}${']'.repeat(40)}`],
  ])('refuses %s', (_name, text) => {
    expect(() => parseCanonicalJson(text)).toThrow(expect.objectContaining({ code: 'MALFORMED_MESSAGE' }));
  });

  it('refuses bytes that are not UTF-8 and input over the cap', () => {
    expect(() => parseCanonicalJson(Uint8Array.of(0x22, 0xff, 0x22))).toThrow(/not valid/);
    expect(() => parseCanonicalJson('"aaaa"', 5)).toThrow(/longer than 5/);
  });
});
