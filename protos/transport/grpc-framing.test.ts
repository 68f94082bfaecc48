// Goal: messages come out whole however their bytes arrive; caps hold before memory is taken; nothing leaks.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isPulsefoldError } from '../../crypto/error.ts';
import { BufferPool } from './buffer-pool.ts';
import { ByteBudget } from './byte-budget.ts';
import {
  encodeStatusMessage,
  frameMessage,
  isGrpcContentType,
  MessageReader,
  messagePrefix,
  parseTimeout,
} from './grpc-framing.ts';

const codeOf = (body: () => unknown): string => {
  try {
    body();
    return 'nothing thrown';
  } catch (error) {
    return isPulsefoldError(error) ? error.code : String(error);
  }
};

function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const length of lengths) {
    parts.push(bytes.subarray(at, at + length));
    at += length;
  }
  return [...parts, bytes.subarray(at)];
}

const messages = fc.array(fc.uint8Array({ maxLength: 70_000 }), { maxLength: 5 });
const cuts = fc.array(fc.oneof(fc.nat(12), fc.nat(40_000)), { maxLength: 20 });

describe('MessageReader', () => {
  it.each([
    ['plenty', 100_000_000, false],
    ['scarce memory', 700_000, false],
    ['a pool', 100_000_000, true],
  ])('gives back what was framed, in any pieces, with %s', (_name, bytesMax, pooled) => {
    fc.assert(
      fc.property(messages, cuts, (sent, lengths) => {
        const budget = new ByteBudget(bytesMax);
        // Of 700,000 bytes 360,000 are taken: more than half.
        budget.allowance(bytesMax).reserve(bytesMax < 1_000_000 ? 360_000 : 0);
        const before = budget.used;
        const allowance = budget.allowance(bytesMax);
        const pool = pooled ? new BufferPool(1_000_000) : undefined;
        const reader = new MessageReader(100_000, allowance, pool);
        const received: string[] = [];
        for (const part of cut(Buffer.concat(sent.map(frameMessage)), lengths)) {
          reader.push(part, (message) => {
            received.push(message.toString('hex'));
            allowance.release(message.length);
            pool?.give(message);
          });
        }
        expect(received).toEqual(sent.map((message) => Buffer.from(message).toString('hex')));
        expect(reader.atBoundary).toBe(true);
        expect(budget.used).toBe(before);
      }),
      { numRuns: 60 },
    );
  });

  it('refuses an announced length over its cap before it takes memory', () => {
    const budget = new ByteBudget(1_000_000);
    const reader = new MessageReader(1000, budget.allowance(1_000_000));
    expect(codeOf(() => reader.push(messagePrefix(1001), () => {}))).toBe('CHUNK_TOO_LARGE');
    expect(budget.used).toBe(0);
  });

  it('refuses compressed messages', () => {
    const reader = new MessageReader(1000, new ByteBudget(10_000).allowance(10_000));
    expect(codeOf(() => reader.push(Buffer.from([1, 0, 0, 0, 0]), () => {}))).toBe('MALFORMED_MESSAGE');
  });

  it('announcements alone take at most half of the memory; the other half goes to those who send', () => {
    const budget = new ByteBudget(10_000_000);
    for (let peer = 0; peer < 100; peer++) {
      const reader = new MessageReader(4_000_000, budget.allowance(5_000_000));
      reader.push(Buffer.concat([messagePrefix(1_000_000), Buffer.alloc(10)]), () => {});
    }
    expect(budget.used).toBeLessThan(8_000_000);
    const honest = new MessageReader(4_000_000, budget.allowance(5_000_000));
    let length = 0;
    honest.push(frameMessage(Buffer.alloc(500_000)), (message) => {
      length = message.length;
    });
    expect(length).toBe(500_000);
  });

  it('abandon gives back the memory of half a message', () => {
    const budget = new ByteBudget(1_000_000);
    const reader = new MessageReader(100_000, budget.allowance(1_000_000));
    reader.push(Buffer.concat([messagePrefix(50_000), Buffer.alloc(10)]), () => {});
    expect(budget.used).toBe(50_000);
    expect(reader.atBoundary).toBe(false);
    reader.abandon();
    expect(budget.used).toBe(0);
  });
});

describe('ByteBudget', () => {
  it('bounds one connection and all of them', () => {
    const budget = new ByteBudget(1000);
    const [one, other] = [budget.allowance(600), budget.allowance(600)];
    one.reserve(600);
    expect(codeOf(() => one.reserve(1))).toBe('UNAVAILABLE');
    expect(codeOf(() => other.reserve(401))).toBe('UNAVAILABLE');
    other.reserve(400);
    one.release(600);
    other.reserve(200);
    expect(budget.used).toBe(600);
  });
});

describe('BufferPool', () => {
  it('uses memory again and detaches it from whoever kept a view', () => {
    const pool = new BufferPool(1_000_000);
    const first = pool.take(100_000);
    first.fill(7);
    const kept = first.subarray(5, 10);
    const memory = first.buffer;
    pool.give(first);
    expect([kept.length, memory.byteLength]).toEqual([0, 0]);
    expect(pool.bytes).toBe(131_072);
    const second = pool.take(110_000);
    expect([second.length, second.buffer.byteLength, second[0], pool.bytes]).toEqual([
      110_000, 131_072, 7, 0,
    ]);
  });

  it('keeps no more than it may, and no small or foreign buffers', () => {
    const pool = new BufferPool(200_000);
    const buffers = [pool.take(100_000), pool.take(100_000)];
    for (const buffer of buffers) pool.give(buffer);
    expect(pool.bytes).toBe(131_072);
    pool.give(pool.take(100));
    pool.give(Buffer.alloc(1000));
    expect(pool.bytes).toBe(131_072);
  });
});

describe('headers', () => {
  it('grpc-timeout', () => {
    expect(parseTimeout(undefined)).toBe(Infinity);
    expect(['2H', '3M', '4S', '5m', '6000u', '7000000n'].map(parseTimeout)).toEqual([
      7_200_000, 180_000, 4000, 5, 6, 7,
    ]);
    for (const text of ['', '5', 'm', '-1S', '1.5S', '123456789S', '1 S', '1s', '1S ']) {
      expect(codeOf(() => parseTimeout(text))).toBe('MALFORMED_MESSAGE');
    }
  });

  it('grpc-message survives decodeURIComponent and smuggles nothing', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
        const encoded = encodeStatusMessage(text);
        expect(encoded).toMatch(/^[\x21-\x7e]?([\x20-\x7e]*[\x21-\x7e])?$/);
        expect(decodeURIComponent(encoded)).toBe(text);
      }),
    );
    expect(encodeStatusMessage('x'.repeat(10_000))).toHaveLength(512);
  });

  it('content-type', () => {
    for (const good of ['application/grpc', 'application/grpc+proto', 'application/grpc; charset=utf-8']) {
      expect(isGrpcContentType(good)).toBe(true);
    }
    for (const bad of [undefined, '', 'application/json', 'application/grpc-web', 'application/grpc+json']) {
      expect(isGrpcContentType(bad)).toBe(false);
    }
  });
});
