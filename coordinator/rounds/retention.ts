/**
 * Retention: `consent.retentionDays` after a plan has ended, the coordinator takes device ids out of its rounds.
 *
 * The same rows of rounds go as in an erasure of every device (device-rows.ts), the same stay: charges under pseudonyms,
 * leaf hashes, log. What outlives a plan stays until a device is erased: the link of device and pseudonym, which enforces
 * the budget of its epoch and, with the invitations, still shows which rounds a device was in; withdrawals; consents that
 * other plans of a family stand on. People are told so (protos/consent.ts `retentionInWords`); keep both alike. The end
 * counts from when this first saw it, so never too early. Trusts: its own database and clock. May be called by:
 * coordinator/server.ts.
 */
import { fromUtf8 } from '../../crypto/bytes.ts';
import { consentTermsSchema } from '../../protos/consent.ts';
import { planQuotaName } from '../../protos/plan-quota.ts';
import type { Database } from '../storage/store.ts';
import { keepLeaves } from './device-rows.ts';
import * as repository from './repository.ts';
import type { RoundServices } from './services.ts';

const DAY_MS = 86_400_000;
/** Of a list in a stored round state, in the place of a device id. */
const NOBODY = 'erased';

/**
 * Forgets the devices of every plan whose time has come; returns the hashes of those plans. One that cannot be forgotten
 * (its rows are damaged) is logged and does not keep the others.
 */
export function forgetEndedPlans(services: Pick<RoundServices, 'store' | 'clock' | 'logger'>): string[] {
  const { store, clock, logger } = services;
  const nowMs = clock.nowMs();
  const ended = store
    .read('retention', (db) => repository.listPlans(db))
    .filter(({ status }) => status === 'finished' || status === 'failed');
  const forgotten: string[] = [];
  for (const { hash, bytes } of ended) {
    try {
      const retentionDays = retentionDaysOf(bytes);
      if (retentionDays === undefined) continue;
      const due = store.transaction('plan-end', (db) => isDue(db, hash, nowMs, retentionDays));
      if (!due) continue;
      store.transaction('forget-plan', (db) => forgetPlan(db, hash));
      forgotten.push(hash);
    } catch (error) {
      logger.error({ plan: hash, err: error }, 'retention of this plan could not be kept');
    }
  }
  return forgotten;
}

/** Alone: what was promised binds even where a later schema refuses something else in the plan. */
function retentionDaysOf(plan: Uint8Array): number | undefined {
  const { consent } = JSON.parse(fromUtf8(plan)) as {
    readonly consent?: { readonly retentionDays: unknown };
  };
  return consent && consentTermsSchema.shape.retentionDays.parse(consent.retentionDays);
}

/** Retention has passed: nothing about a device may be kept under this plan any more. */
export const isForgottenPlan = (db: Database, plan: string): boolean =>
  db.get('SELECT 1 AS found FROM plan_ends WHERE plan = ? AND forgotten = 1', plan) !== undefined;

function isDue(db: Database, plan: string, nowMs: number, retentionDays: number): boolean {
  db.run('INSERT INTO plan_ends VALUES (?, ?, 0) ON CONFLICT DO NOTHING', plan, nowMs);
  const { ended_ms, forgotten } = db.get<{ ended_ms: number; forgotten: number }>(
    'SELECT ended_ms, forgotten FROM plan_ends WHERE plan = ?',
    plan,
  )!;
  return forgotten === 0 && nowMs - ended_ms >= retentionDays * DAY_MS;
}

function forgetPlan(db: Database, plan: string): void {
  for (const { round } of repository.listRounds(db, plan)) {
    keepLeaves(db, plan, round);
    forgetLists(db, plan, round);
  }
  const random = "'erased-' || lower(hex(randomblob(12)))";
  db.run(`UPDATE invitations SET device = ${random} WHERE plan = ?`, plan);
  db.run(
    `UPDATE uploads SET device = ${random}, digest = '', signature = x'', certificate = x'', body_digest = ''
     WHERE plan = ?`,
    plan,
  );
  for (const table of [
    'upload_chunks',
    'fold_state',
    'lates',
    'rejections',
    'verdict_lists',
    'budget_alarms',
  ])
    db.run(`DELETE FROM ${table} WHERE plan = ?`, plan);
  db.run('DELETE FROM consents WHERE plan = ? AND scope = ?', plan, planQuotaName(plan));
  db.run('DELETE FROM subject_access');
  db.run('UPDATE plan_ends SET forgotten = 1 WHERE plan = ?', plan);
}

/** Keeps how many there were, not who. */
function forgetLists(db: Database, plan: string, round: number): void {
  const row = db.get<{ state: string }>(
    'SELECT state FROM rounds WHERE plan = ? AND round = ?',
    plan,
    round,
  )!;
  const state = JSON.parse(row.state) as Record<string, unknown>;
  const blank = (value: unknown): unknown => (Array.isArray(value) ? value.map(() => NOBODY) : value);
  const { candidates, cohort } = state;
  const text = JSON.stringify({
    ...state,
    candidates: blank(candidates),
    cohort: blank(cohort),
    verdicts: {},
  });
  db.run('UPDATE rounds SET state = ? WHERE plan = ? AND round = ?', text, plan, round);
  const kept = db.get<{ devices: string }>(
    'SELECT devices FROM cohort_leaves WHERE plan = ? AND round = ?',
    plan,
    round,
  );
  if (!kept) return;
  const nobody = (JSON.parse(kept.devices) as string[]).map(() => '');
  db.run(
    'UPDATE cohort_leaves SET devices = ? WHERE plan = ? AND round = ?',
    JSON.stringify(nobody),
    plan,
    round,
  );
}
