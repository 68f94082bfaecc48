/**
 * What a device signs about its own rights, and plans that ask for consent. For coordinator/**\/*.test.ts and
 * auditor/**\/*.test.ts only.
 *
 * Not exported by the package.
 */
import { toHex } from '../crypto/bytes.ts';
import {
  type Consent,
  type ConsentReceipt,
  consentColumnsOf,
  consentReceiptRecord,
  consentReceiptStatement,
  consentRecord,
  consentScopeOf,
  consentStatement,
  promisedPrivacy,
  purposeDigestOf,
} from '../protos/consent.ts';
import {
  type ErasureReceipt,
  erasureReceiptRecord,
  erasureReceiptStatement,
  erasureStatement,
} from '../protos/erasure.ts';
import { finishPlan, type ParsedPlan } from '../protos/plan.ts';
import {
  type SubjectReceipt,
  type SubjectReport,
  subjectAccessStatement,
  subjectReceiptRecord,
  subjectReceiptStatement,
  subjectReportRecord,
} from '../protos/subject-access.ts';
import {
  parseWithdrawalReceipt,
  type WithdrawalReceipt,
  withdrawalReceiptStatement,
  withdrawalStatement,
} from '../protos/withdrawal.ts';
import type { TestDevice } from './testing.ts';
import type { Bench } from './testing-bench.ts';

export const TERMS = {
  required: true,
  controller: 'Heart Institute',
  contact: 'privacy@heart.example',
  retentionDays: 30,
} as const;

/** The same plan, asking for consent; `changes` replace fields of the plan. */
export const asking = ({ plan }: ParsedPlan, changes: object = {}): ParsedPlan =>
  finishPlan({ ...plan, consent: TERMS, ...changes });

export interface Signed {
  readonly consent: Uint8Array;
  readonly signature: Uint8Array;
}

/** The honest consent of a device to a plan; `changes` replace what it says before it is signed. */
export function consentOf(
  bench: Bench,
  device: TestDevice,
  parsed: ParsedPlan,
  changes: Partial<Consent> = {},
): Signed {
  const { plan, hashHex } = parsed;
  const consent = consentRecord.encode({
    version: 1,
    kind: 'consent',
    deviceId: device.deviceId,
    pseudonym: toHex(device.pseudonym(plan.epoch)),
    epoch: plan.epoch,
    scope: consentScopeOf(parsed),
    planHash: hashHex,
    purposeDigest: purposeDigestOf(parsed),
    columns: consentColumnsOf(plan),
    retentionDays: TERMS.retentionDays,
    privacy: promisedPrivacy(plan),
    timeMs: bench.clock.nowMs(),
    ...changes,
  });
  return { consent, signature: bench.world.suite.sign(device.signing.secretKey, consentStatement(consent)) };
}

/** Consents and checks the coordinator's signature on the receipt. */
export async function consentTo(bench: Bench, device: TestDevice, signed: Signed): Promise<ConsentReceipt> {
  const reply = await bench.call<{ receipt: Uint8Array; signature: Uint8Array }>(device, 'consent', signed);
  requireSigned(bench, consentReceiptStatement(reply.receipt), reply.signature);
  return consentReceiptRecord.parse(reply.receipt);
}

export async function erase(
  bench: Bench,
  device: TestDevice,
  parsed: ParsedPlan,
  changes: object = {},
): Promise<ErasureReceipt> {
  const fields = {
    planHash: parsed.hash,
    pseudonym: device.pseudonym(parsed.plan.epoch),
    timeMs: bench.clock.nowMs(),
  };
  const statement = erasureStatement({ ...fields, deviceId: device.deviceId });
  const signature = bench.world.suite.sign(device.signing.secretKey, statement);
  const message = { ...fields, signature, ...changes };
  const reply = await bench.call<{ receipt: Uint8Array; signature: Uint8Array }>(
    device,
    'eraseDevice',
    message,
  );
  requireSigned(bench, erasureReceiptStatement(reply.receipt), reply.signature);
  return erasureReceiptRecord.parse(reply.receipt);
}

/** Withdraws from `scope` and checks the coordinator's signature on the receipt; `changes` replace what was signed. */
export async function withdraw(
  bench: Bench,
  device: TestDevice,
  parsed: ParsedPlan,
  scope: string,
  changes: object = {},
): Promise<WithdrawalReceipt> {
  const fields = {
    planHash: parsed.hash,
    pseudonym: device.pseudonym(parsed.plan.epoch),
    scope,
    timeMs: bench.clock.nowMs(),
  };
  const statement = withdrawalStatement({ ...fields, deviceId: device.deviceId });
  const signature = bench.world.suite.sign(device.signing.secretKey, statement);
  const message = { ...fields, signature, ...changes };
  const reply = await bench.call<{ receipt: Uint8Array; signature: Uint8Array }>(device, 'withdraw', message);
  requireSigned(bench, withdrawalReceiptStatement(reply.receipt), reply.signature);
  return parseWithdrawalReceipt(reply.receipt);
}

/** All pages of a report. */
export async function accessOf(
  bench: Bench,
  device: TestDevice,
  parsed: ParsedPlan,
  changes: object = {},
): Promise<{ receipt: SubjectReceipt; report: SubjectReport; text: string; pages: number }> {
  const fields = {
    planHash: parsed.hash,
    pseudonym: device.pseudonym(parsed.plan.epoch),
    timeMs: bench.clock.nowMs(),
  };
  const statement = subjectAccessStatement({ ...fields, deviceId: device.deviceId });
  const signature = bench.world.suite.sign(device.signing.secretKey, statement);
  const parts: Uint8Array[] = [];
  for (let offset = 0; ; ) {
    const reply = await bench.call<{ receipt: Uint8Array; signature: Uint8Array; data: Uint8Array }>(
      device,
      'subjectAccess',
      { ...fields, signature, offset, ...changes },
    );
    requireSigned(bench, subjectReceiptStatement(reply.receipt), reply.signature);
    const receipt = subjectReceiptRecord.parse(reply.receipt);
    parts.push(reply.data);
    offset += reply.data.length;
    if (offset < receipt.reportBytes) continue;
    const bytes = new Uint8Array(Buffer.concat(parts));
    if (toHex(bench.world.suite.digest(bytes)) !== receipt.reportDigest) throw new Error('another report');
    return {
      receipt,
      report: subjectReportRecord.parse(bytes),
      text: Buffer.from(bytes).toString('utf8'),
      pages: parts.length,
    };
  }
}

function requireSigned({ world }: Bench, statement: Uint8Array, signature: Uint8Array): void {
  if (!world.suite.verify(world.coordinatorKey.publicKey, statement, signature))
    throw new Error('not signed by the coordinator');
}

/** Every text and blob of every table, to be searched for what must not be there. */
export function everythingIn(bench: Bench): string {
  return bench.store.read('test', (db) =>
    db
      .all<{ name: string }>("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
      .map(({ name }) => {
        const rows = db.all(`SELECT * FROM "${name}"`);
        const texts = rows.flatMap((row) =>
          Object.values(row).map((value) =>
            value instanceof Uint8Array
              ? `${toHex(value)} ${Buffer.from(value).toString('latin1')}`
              : String(value),
          ),
        );
        return `${name}: ${texts.join('\n')}`;
      })
      .join('\n'),
  );
}

export const leavesOf = (bench: Bench, kind: string) =>
  bench.log.leaves().filter((leaf) => leaf.kind === kind);
