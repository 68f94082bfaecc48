/**
 * The open format of `pulsefold client export`: everything about one device's part, self-contained, as JSON
 * (docs/person-export.md).
 *
 * Written by client/, read by people, other programs and `pulsefold audit prove`. Signed things stand as the text that was
 * signed. Trusts: nothing; a reader verifies. May be called by: client, auditor, cli.
 */
import { z } from 'zod';
import { fromUtf8 } from '../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../crypto/error.ts';
import { CONSENT_BYTES_MAX, CONSENT_RECEIPT_BYTES_MAX } from './consent.ts';
import { deviceId, integer, roundNumber } from './fields.ts';
import { RECEIPT_BYTES_MAX } from './receipt.ts';
import { SUBJECT_RECEIPT_BYTES_MAX } from './subject-access.ts';

export const PERSON_EXPORT_FORMAT = 'pulsefold-person-export';
export const PERSON_EXPORT_BYTES_MAX = 512 * 1024 * 1024;
const ROWS_MAX = 100_000;

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));
const timeMs = integer(0, Number.MAX_SAFE_INTEGER);
const text = (maximum: number) => z.string().max(maximum);
const rows = <T extends z.ZodType>(item: T) => z.array(item).max(ROWS_MAX);

/** Fields that a later version adds are passed over, so that an old reader still reads. */
export const personExportSchema = z.object({
  format: z.literal(PERSON_EXPORT_FORMAT),
  version: z.literal(1),
  madeMs: timeMs,
  device: z.object({
    deviceId,
    suite: z.enum(['intl', 'gm']),
    /** X.509, PEM. */
    certificate: text(8192),
    pseudonyms: rows(z.object({ epoch: text(32), pseudonym: hex(32) })),
  }),
  plans: rows(
    z.object({
      planHash: hex(32),
      name: text(63),
      purpose: text(500),
      epoch: text(32),
      /** Canonical JSON, the bytes that are hashed. */
      plan: text(256 * 1024),
    }),
  ),
  /** Plans that this version no longer takes (a later schema is stricter), as they were kept, and why. */
  unreadablePlans: rows(
    z.object({ planHash: hex(32), plan: text(256 * 1024), reason: text(1000) }),
  ).optional(),
  consents: rows(
    z.object({
      consent: text(CONSENT_BYTES_MAX),
      signature: hex(64),
      receipt: text(CONSENT_RECEIPT_BYTES_MAX).optional(),
      receiptSignature: hex(64).optional(),
    }),
  ),
  withdrawals: rows(
    z.object({ scope: text(80), timeMs, receipt: text(16_384).optional(), signature: hex(64).optional() }),
  ),
  receipts: rows(
    z.object({ planHash: hex(32), round: roundNumber, receipt: text(RECEIPT_BYTES_MAX), signature: hex(64) }),
  ),
  /** .tlog-proof texts; what the device verified comes before what the coordinator sent with its report. */
  logProofs: rows(
    z.object({
      what: z.enum(['decision', 'settlement', 'consent', 'withdrawal']),
      planHash: hex(32),
      round: integer(0, 100_000),
      proof: text(220 * 1024),
    }),
  ),
  /** What verified receipts have charged, by pseudonym; amounts are decimals at the order. */
  charges: rows(z.object({ pseudonym: hex(32), order: text(32), amount: text(64) })),
  alarms: rows(z.object({ planHash: hex(32), round: roundNumber, reason: text(500) })),
  /** Checkpoints of logs as this device saw them last, and contradictions it has found. */
  logs: rows(z.object({ coordinatorKey: text(130), checkpoint: text(65_536), alarm: text(1000).optional() })),
  /** Sealed updates whose fate is not proven yet. */
  undecided: rows(z.object({ planHash: hex(32), round: roundNumber, digest: hex(32), progress: text(16) })),
  /** What the coordinator says it holds; absent when it was not asked. `report` in canonical form is what was signed. */
  coordinator: z
    .object({ receipt: text(SUBJECT_RECEIPT_BYTES_MAX), signature: hex(64), report: z.unknown() })
    .optional(),
  /** The local tables, on request. */
  data: z
    .array(z.object({ name: text(4096), text: z.string() }))
    .max(2)
    .optional(),
});
export type PersonExport = z.output<typeof personExportSchema>;

/** Indented, for people. Throws MALFORMED_MESSAGE naming the field. */
export function formatPersonExport(value: PersonExport): string {
  return `${JSON.stringify(check(value), null, 1)}\n`;
}

/** Whether a file claims to be such an export: the format stands in its first 200 bytes. */
export const claimsPersonExport = (bytes: Uint8Array): boolean =>
  Buffer.from(bytes.subarray(0, 200)).includes(`"${PERSON_EXPORT_FORMAT}"`);

/** Reads a file. Throws DATA_INVALID naming the field. */
export function parsePersonExport(bytes: Uint8Array): PersonExport {
  ensure(bytes.length <= PERSON_EXPORT_BYTES_MAX, 'DATA_INVALID', 'the export is too long');
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(bytes));
  } catch (cause) {
    throw new PulsefoldError('DATA_INVALID', 'the export is not JSON', { cause });
  }
  return check(value);
}

function check(value: unknown): PersonExport {
  const result = personExportSchema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new PulsefoldError(
    'DATA_INVALID',
    `person export: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`,
  );
}
