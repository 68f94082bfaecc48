/**
 * Approvals of a plan as a file: `<plan file>.approvals.json`, and the coordinator's own copy.
 *
 * Trusts: nothing; the signatures themselves are checked by `requireApproved`. May be called by: coordinator, cli.
 */
import { z } from 'zod';
import { fromHex, toHex } from '../crypto/bytes.ts';
import { PulsefoldError } from '../crypto/error.ts';
import { APPROVALS_MAX } from './approval-policy.ts';
import type { PlanApproval } from './plan.ts';

const schema = z
  .array(
    z.strictObject({
      approverId: z.string().min(1).max(63),
      publicKey: z.string().regex(/^([0-9a-f]{64}|04[0-9a-f]{128})$/, 'expected a public key as hexadecimal'),
      signature: z.string().regex(/^[0-9a-f]{128}$/, 'expected 64 bytes as lower-case hexadecimal'),
    }),
  )
  .max(APPROVALS_MAX);

export const encodeApprovals = (approvals: readonly PlanApproval[]): string =>
  JSON.stringify(
    approvals.map((a) => ({
      approverId: a.approverId,
      publicKey: toHex(a.publicKey),
      signature: toHex(a.signature),
    })),
  );

/** Throws PLAN_INVALID naming the field. */
export function decodeApprovals(text: string): PlanApproval[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new PulsefoldError('PLAN_INVALID', 'the approvals are not JSON', { cause });
  }
  const result = schema.safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw new PulsefoldError(
      'PLAN_INVALID',
      `approvals.${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`,
    );
  }
  return result.data.map((a) => ({
    approverId: a.approverId,
    publicKey: fromHex(a.publicKey),
    signature: fromHex(a.signature),
  }));
}
