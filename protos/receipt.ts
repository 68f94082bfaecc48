/**
 * The receipt: what became of one device's upload, as canonical JSON signed by the coordinator
 * (`receiptStatement`).
 *
 * For: the coordinator (encodes), clients and auditors (parse, verify). A receipt is only the coordinator's word
 * plus proofs; what a proof is worth is decided by the reader (client/agent/receipts.ts). Trusts: nothing; receipts
 * come from the wire. May be called by: coordinator, client, auditor.
 */
import { z } from 'zod';
import { ensure, PulsefoldError } from '../crypto/error.ts';
import { canonicalBytes, parseCanonicalJson } from '../crypto/log/canonical-json.ts';
import { PROOF_HASHES_MAX } from '../crypto/log/merkle.ts';
import { COHORT_MAX, deviceId, holderId, integer, roundNumber } from './fields.ts';

/** Room for the leaf hashes of the largest cohort (66 characters and a comma each) and the rest. */
export const RECEIPT_BYTES_MAX = 1 << 20;
/** Holders of the largest plan, with room to grow; a receipt carries at most one signature of each. */
const SIGNATURES_MAX = 16;

const hex = (bytes: number) =>
  z
    .string()
    .regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`), `expected ${bytes} bytes as lower-case hexadecimal`);
const statementSignature = z.strictObject({ holderId, signature: hex(64) });
const signatures = z.array(statementSignature).max(SIGNATURES_MAX);
/** Exact decimals, rationals and integers travel as text; canonical JSON has integers only. */
const amount = z.union([z.string().min(1).max(128), z.int()]);

export const receiptOutcomes = ['certified', 'late', 'rejected', 'aborted'] as const;
export type ReceiptOutcome = (typeof receiptOutcomes)[number];

export const receiptSchema = z
  .strictObject({
    version: z.literal(1),
    planHash: hex(32),
    round: roundNumber,
    deviceId,
    /** Digest of the sealed update this receipt speaks of. */
    digest: hex(32),
    outcome: z.enum(receiptOutcomes),
    certificate: z
      .strictObject({
        modelHash: hex(32),
        configHash: hex(32),
        committeeKeyId: hex(32),
        cohortRoot: hex(32),
        cohortCount: integer(1, COHORT_MAX),
        signatures,
      })
      .optional(),
    /** Path of this device's entry (`entryLeaf`) in the cohort tree. */
    inclusion: z
      .strictObject({
        index: integer(0, COHORT_MAX - 1),
        size: integer(1, COHORT_MAX),
        proof: z.array(hex(32)).max(PROOF_HASHES_MAX),
      })
      .optional(),
    /**
     * Leaf hashes of the whole certified cohort, in tree order. The only proof that a certificate leaves a device
     * out; without it a device keeps the charge of a late or rejected upload.
     */
    exclusion: z.strictObject({ leafHashes: z.array(hex(32)).max(COHORT_MAX) }).optional(),
    abort: z.strictObject({ reason: z.string().max(500), signatures }).optional(),
    reason: z.string().max(500).optional(),
    /** Name under which the ledger charges this device in this budget epoch. */
    pseudonym: hex(32),
    /** What the ledger charged, at the order its filter runs on. */
    charge: z.strictObject({ order: amount, amount }).optional(),
    /** All that the ledger has charged this pseudonym when the receipt was made, at the same order. */
    ledger: z.strictObject({ order: amount, spent: amount }).optional(),
  })
  .superRefine((receipt, context) => {
    const issue = (field: string, message: string) =>
      context.addIssue({ code: 'custom', path: [field], message });
    const { outcome, certificate, inclusion, abort } = receipt;
    if (outcome === 'certified' && !certificate) issue('certificate', 'a certified receipt carries it');
    if (outcome === 'certified' && !inclusion) issue('inclusion', 'a certified receipt carries it');
    if (outcome !== 'certified' && inclusion) issue('inclusion', 'only a certified receipt has one');
    if (outcome === 'aborted' && !abort) issue('abort', 'an aborted receipt carries it');
    if (outcome === 'aborted' && certificate)
      issue('certificate', 'a round is certified or aborted, not both');
    if (outcome !== 'aborted' && abort) issue('abort', 'only an aborted receipt has one');
  });

export type Receipt = z.output<typeof receiptSchema>;

/** Canonical bytes of a receipt, which the coordinator signs. Throws MALFORMED_MESSAGE naming the field. */
export function encodeReceipt(receipt: Receipt): Uint8Array {
  const bytes = canonicalBytes(checkReceipt(receipt));
  ensure(
    bytes.length <= RECEIPT_BYTES_MAX,
    'MALFORMED_MESSAGE',
    `a receipt has at most ${RECEIPT_BYTES_MAX} bytes`,
  );
  return bytes;
}

/** Parses a receipt from the wire; any other encoding of it is refused. Throws MALFORMED_MESSAGE. */
export const parseReceipt = (bytes: Uint8Array): Receipt =>
  checkReceipt(parseCanonicalJson(bytes, RECEIPT_BYTES_MAX));

function checkReceipt(value: unknown): Receipt {
  const result = receiptSchema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new PulsefoldError(
    'MALFORMED_MESSAGE',
    `receipt.${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`,
  );
}
