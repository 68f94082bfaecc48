// Goal: the reader of uploads gives what protobufjs gives for every message, copies nothing, and refuses the rest.
import type { MethodDefinition } from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isPulsefoldError } from '../../crypto/error.ts';
import { serviceDefinition } from './load.ts';
import { type PutUploadMessage, putUploadReader } from './put-upload-reader.ts';

const method = serviceDefinition('Rounds').definition.PutUpload as MethodDefinition<object, object>;
const read = putUploadReader();
const oracle = (bytes: Buffer) => method.requestDeserialize(bytes) as PutUploadMessage;

function varint(value: bigint): Buffer {
  const out: number[] = [];
  let rest = value;
  for (; rest >= 0x80n; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...out, Number(rest)]);
}
const tag = (field: number, wire: number): Buffer => varint(BigInt(field * 8 + wire));
const bytesField = (field: number, content: Uint8Array): Buffer =>
  Buffer.concat([tag(field, 2), varint(BigInt(content.length)), content]);

const unsigned32 = fc.oneof(
  fc.nat(),
  fc.constantFrom(0, 0x7f, 0x80, 0xffffffff),
  fc.integer({ min: 0, max: 2 ** 32 - 1 }),
);
const blob = fc.uint8Array({ maxLength: 80 });
const header = fc.record(
  { planHash: blob, round: unsigned32, configHash: blob, digest: blob, signature: blob },
  { requiredKeys: [] },
);
/** A header as protobufjs writes it, without its tag and length. */
const headerBytes = (value: object): Buffer => {
  const bytes = Buffer.from(method.requestSerialize({ header: value }));
  let at = 1;
  while (bytes[at]! >= 0x80) at++;
  return bytes.subarray(at + 1);
};
const highField = fc.integer({ min: 4, max: 2 ** 29 - 1 });
const group = fc
  .tuple(highField, highField, blob)
  .map(([outer, inner, content]) =>
    Buffer.concat([tag(outer, 3), bytesField(inner, content), tag(inner, 3), tag(inner, 4), tag(outer, 4)]),
  );
const field = fc.oneof(
  header.map((value) => bytesField(1, headerBytes(value))),
  unsigned32.map((value) => Buffer.concat([tag(2, 0), varint(BigInt(value))])),
  // A negative int32 takes ten bytes; a uint32 keeps its low half.
  fc
    .integer({ min: -(2 ** 31), max: -1 })
    .map((value) => Buffer.concat([tag(2, 0), varint(BigInt.asUintN(64, BigInt(value)))])),
  blob.map((value) => bytesField(3, value)),
  fc
    .tuple(highField, fc.bigInt(0n, 2n ** 64n - 1n))
    .map(([at, value]) => Buffer.concat([tag(at, 0), varint(value)])),
  fc
    .tuple(highField, fc.uint8Array({ minLength: 8, maxLength: 8 }))
    .map(([at, value]) => Buffer.concat([tag(at, 1), value])),
  fc
    .tuple(highField, fc.uint8Array({ minLength: 4, maxLength: 4 }))
    .map(([at, value]) => Buffer.concat([tag(at, 5), value])),
  fc.tuple(highField, blob).map(([at, value]) => bytesField(at, value)),
  group,
);

const codeOf = (bytes: Buffer): string => {
  try {
    read(bytes);
    return 'read';
  } catch (error) {
    return isPulsefoldError(error) ? error.code : 'other error';
  }
};

describe('against protobufjs', () => {
  it('gives the same for every message that it writes', () => {
    fc.assert(
      fc.property(header, unsigned32, fc.uint8Array({ maxLength: 2000 }), (head, offset, data) => {
        const bytes = Buffer.from(method.requestSerialize({ header: head, offset, data }));
        expect(read(bytes)).toEqual(oracle(bytes));
      }),
    );
  });

  it('gives the same for fields in any order, repeated, absent, unknown, in groups', () => {
    fc.assert(
      fc.property(fc.array(field, { maxLength: 8 }), (fields) => {
        const bytes = Buffer.concat(fields);
        expect(read(bytes)).toEqual(oracle(bytes));
      }),
      { numRuns: 1000 },
    );
  });

  it('bytes at random, cut or changed: a message or MALFORMED_MESSAGE, and never more than protobufjs takes', () => {
    const damaged = fc
      .tuple(fc.array(field, { minLength: 1, maxLength: 5 }), fc.nat(), fc.nat(), fc.boolean())
      .map(([fields, at, value, cut]) => {
        const bytes = Buffer.concat(fields);
        const place = at % bytes.length;
        if (cut) return bytes.subarray(0, place);
        bytes[place] = value & 0xff;
        return bytes;
      });
    fc.assert(
      fc.property(
        fc.oneof(
          damaged,
          fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
        ),
        (bytes) => {
          expect(['read', 'MALFORMED_MESSAGE']).toContain(codeOf(bytes));
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('hostile bytes', () => {
  const deep = Buffer.concat([
    ...Array.from({ length: 40 }, () => tag(9, 3)),
    ...Array.from({ length: 40 }, () => tag(9, 4)),
  ]);
  it.each([
    ['a length past the end', Buffer.from([0x1a, 0x05, 1, 2])],
    ['a length of 4 GB', Buffer.from([0x1a, 0xff, 0xff, 0xff, 0xff, 0x0f])],
    ['a varint that does not end', Buffer.alloc(11, 0xff)],
    ['a varint cut off', Buffer.from([0x10, 0x80])],
    ['field number 0', Buffer.from([0x02, 0x00])],
    ['data as a varint', Buffer.from([0x18, 0x01])],
    ['offset as bytes', Buffer.from([0x12, 0x01, 0x01])],
    ['wire type 6', Buffer.from([0x26])],
    ['a group that does not end', Buffer.from([0x23])],
    ['a group that ends as another', Buffer.from([0x23, 0x2c])],
    ['an end without a group', Buffer.from([0x24])],
    ['groups 40 deep', deep],
    ['a header that is none', Buffer.from([0x0a, 0x01, 0x0a])],
  ])('%s → MALFORMED_MESSAGE', (_name, bytes) => expect(codeOf(bytes)).toBe('MALFORMED_MESSAGE'));
});

it('data is a view of the message, not a copy', () => {
  const bytes = Buffer.from(method.requestSerialize({ offset: 1, data: Buffer.alloc(1000, 7) }));
  const { data } = read(bytes);
  expect(data.buffer).toBe(bytes.buffer);
  bytes[bytes.length - 1] = 9;
  expect(data.at(-1)).toBe(9);
});
