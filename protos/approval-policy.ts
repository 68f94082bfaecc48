/**
 * Who must have signed a plan before anybody runs it: k of n pinned approvers and, where named, a signature from each
 * seat of governance.
 *
 * For: the configuration of every role, which pins its own policy; nothing in a plan or an approval can change it.
 * A seat is given to a key here, by whoever runs the role, so an approver cannot claim one. Trusts: the operator's file.
 * May be called by: coordinator, keyholder, client, auditor, cli.
 */
import { z } from 'zod';

/** Who looks at a plan with which eyes: engineering, law, security, and the people whose data it is. */
export const SEATS = ['technical', 'legal', 'security', 'user'] as const;
export type Seat = (typeof SEATS)[number];

/** Approvers pinned, or signatures of one plan, at most. */
export const APPROVALS_MAX = 16;

export interface Approver {
  readonly id: string;
  /** Hexadecimal signing public key. */
  readonly publicKey: string;
  readonly seat?: Seat | undefined;
}

/** Pinned approvers and how many of them must have signed (k-of-n, k ≥ 1). */
export interface ApprovalPolicy {
  readonly approvers: readonly Approver[];
  readonly required: number;
  /** Each must be filled by a signature of its own: one approver sits in one seat. */
  readonly seats?: readonly Seat[] | undefined;
}

const approver = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'expected lower-case letters, digits and dashes')
    .describe('the name that stands in the approval'),
  publicKey: z.string().regex(/^([0-9a-f]{64}|04[0-9a-f]{128})$/, 'expected a public key as hexadecimal'),
  seat: z.enum(SEATS).optional(),
});

/** The fields of a policy; `approvers` may stand under another name (the client's `pinned`). */
export const approvalPolicyShape = {
  required: z.int().min(1).max(APPROVALS_MAX).default(1),
  approvers: z.array(approver).min(1).max(APPROVALS_MAX),
  seats: z.array(z.enum(SEATS)).max(SEATS.length).optional(),
};

export const approvalPolicySchema = z.strictObject(approvalPolicyShape).superRefine((policy, context) => {
  for (const { path, message } of policyIssues(policy)) context.addIssue({ code: 'custom', path, message });
});

/** What makes a policy one that no plan, or a single person, could satisfy. */
export function policyIssues(policy: ApprovalPolicy): { path: string[]; message: string }[] {
  const { approvers, required, seats = [] } = policy;
  const issues: { path: string[]; message: string }[] = [];
  const keys = new Set(approvers.map(({ publicKey }) => publicKey));
  if (keys.size < approvers.length) issues.push({ path: ['approvers'], message: 'a key is listed twice' });
  if (new Set(approvers.map(({ id }) => id)).size < approvers.length)
    issues.push({ path: ['approvers'], message: 'an id is listed twice' });
  if (required > keys.size)
    issues.push({ path: ['required'], message: `more than the ${keys.size} approver keys that are pinned` });
  if (new Set(seats).size < seats.length) issues.push({ path: ['seats'], message: 'a seat is listed twice' });
  for (const seat of seats)
    if (!approvers.some((one) => one.seat === seat))
      issues.push({ path: ['seats'], message: `no pinned approver sits in the ${seat} seat` });
  return issues;
}

/** Seats of the policy that none of these approvers fills. */
export function emptySeats(policy: ApprovalPolicy, signed: ReadonlySet<string>): Seat[] {
  const filled = new Set(
    policy.approvers.filter(({ publicKey }) => signed.has(publicKey)).map(({ seat }) => seat),
  );
  return (policy.seats ?? []).filter((seat) => !filled.has(seat));
}
