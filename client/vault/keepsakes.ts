/**
 * What a client's vault keeps of its part: receipts, plans, proofs of the log, as they were signed.
 *
 * For: client/agent (export). Trusts: whoever opened the vault. Needs no lock: entries are replaced atomically.
 */
import { fromUtf8 } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import type { Vault } from './vault.ts';

const PLAN = /^plan-([0-9a-f]{64})$/;
const LOG_PROOF = /^tlog-proof-([0-9a-f]{64})-([0-9]{1,6})$/;

export interface Keepsakes {
  /** Canonical JSON by plan hash. */
  readonly plans: readonly { readonly planHash: string; readonly plan: string }[];
  readonly logProofs: readonly {
    readonly planHash: string;
    readonly round: number;
    readonly proof: string;
  }[];
}

/** Throws FILE_SEALED for an entry that was altered. */
export async function readKeepsakes(vault: Vault): Promise<Keepsakes> {
  const plans: { planHash: string; plan: string }[] = [];
  const logProofs: { planHash: string; round: number; proof: string }[] = [];
  for (const name of await vault.list()) {
    const plan = PLAN.exec(name);
    const proof = LOG_PROOF.exec(name);
    if (plan) plans.push({ planHash: plan[1]!, plan: textOf(name, await vault.get(name)) });
    if (proof)
      logProofs.push({
        planHash: proof[1]!,
        round: Number(proof[2]),
        proof: textOf(name, await vault.get(name)),
      });
  }
  return { plans, logProofs };
}

function textOf(name: string, bytes: Uint8Array): string {
  let text: string | undefined;
  try {
    text = fromUtf8(bytes);
  } catch {
    // Falls through to the one answer.
  }
  ensure(text !== undefined, 'FILE_SEALED', `vault entry ${name} is not text`);
  return text;
}
