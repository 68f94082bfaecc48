// Goal: every code has one status, survives the wire, and nothing but code and message leaves the process.
import { Metadata, status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { type ErrorCode, PulsefoldError } from '../../crypto/error.ts';
import { CODE_METADATA, fromServiceError, statusOf, toServiceError } from './status.ts';

const codes = Object.keys(statusOf) as ErrorCode[];

describe('error table', () => {
  it.each(codes)('%s survives the wire', (code) => {
    const wire = toServiceError(new PulsefoldError(code, 'do this', { cause: new Error('secret') }));
    expect(wire.code).toBe(statusOf[code]);
    const back = fromServiceError(wire);
    expect(back.code).toBe(code);
    expect(back.message).toBe('do this');
  });

  it('uses the statuses that the issue fixes', () => {
    expect(statusOf.CERTIFICATE_REVOKED).toBe(status.UNAUTHENTICATED);
    expect(statusOf.WRONG_ROLE).toBe(status.PERMISSION_DENIED);
    expect(statusOf.UNAVAILABLE).toBe(status.UNAVAILABLE);
    // Only UNAVAILABLE may be repeated blindly: no other code may share its status.
    expect(codes.filter((code) => statusOf[code] === status.UNAVAILABLE)).toEqual(['UNAVAILABLE']);
    expect(codes.every((code) => statusOf[code] > 0)).toBe(true);
  });

  it('hides unknown errors and causes', () => {
    for (const error of [new Error('password=hunter2'), 'hunter2', null, undefined, { code: 'TOKEN_USED' }]) {
      const wire = toServiceError(error);
      expect(wire.code).toBe(status.INTERNAL);
      expect(wire.metadata.get(CODE_METADATA)).toEqual(['INTERNAL']);
      expect(JSON.stringify(wire)).not.toContain('hunter2');
    }
    const wire = toServiceError(new PulsefoldError('NOT_FOUND', 'x', { cause: 'hunter2' }));
    expect(JSON.stringify(wire)).not.toContain('hunter2');
  });

  it('keeps one short printable line', () => {
    const { details } = toServiceError(
      new PulsefoldError('NOT_FOUND', `a\nb\u0000\u001b[31m${'x'.repeat(2000)}`),
    );
    expect(details).toMatch(/^[\x20-\x7e]{1,512}$/);
  });
});

describe('hostile servers', () => {
  const wire = (code: unknown, sent?: string, details: unknown = 'text') => {
    const metadata = new Metadata();
    if (sent !== undefined) metadata.set(CODE_METADATA, sent);
    return { code, details, metadata };
  };

  it.each([
    [wire(status.OK, 'TOKEN_USED'), 'INTERNAL'],
    [wire(status.UNAVAILABLE, 'BUDGET_EXCEEDED'), 'UNAVAILABLE'],
    [wire(status.UNAUTHENTICATED, 'no such code'), 'UNAUTHENTICATED'],
    [wire(status.UNAUTHENTICATED, 'toString'), 'UNAUTHENTICATED'],
    [wire(status.PERMISSION_DENIED), 'WRONG_ROLE'],
    [wire(status.RESOURCE_EXHAUSTED), 'CHUNK_TOO_LARGE'],
    [wire(status.DEADLINE_EXCEEDED), 'DEADLINE_EXCEEDED'],
    [wire(status.CANCELLED), 'UNAVAILABLE'],
    [wire(9999), 'INTERNAL'],
    [wire('14'), 'INTERNAL'],
    [wire(status.NOT_FOUND, 'NOT_FOUND', { toString: 1 }), 'NOT_FOUND'],
    [null, 'INTERNAL'],
    [undefined, 'INTERNAL'],
    [new Error('x'), 'INTERNAL'],
  ])('%# becomes a known code', (error, code) => {
    const back = fromServiceError(error);
    expect(back).toBeInstanceOf(PulsefoldError);
    expect(back.code).toBe(code);
    expect(back.message).toMatch(/^[\x20-\x7e]{1,512}$/);
  });
});
