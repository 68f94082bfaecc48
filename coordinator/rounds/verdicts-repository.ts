/**
 * The tables of what each holder said about each upload: verdicts, and the reasons of rejections.
 *
 * Trusts: its own database. May be called by: coordinator/rounds through repository.ts.
 */
import type { Database } from '../storage/store.ts';

/** Once accepted stays accepted; a holder may accept later what it could not check before. */
export function putVerdict(
  db: Database,
  plan: string,
  round: number,
  verdict: { holder: string; device: string; accepted: boolean },
): void {
  db.run(
    `INSERT INTO verdicts (plan, round, holder, device, accepted) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (plan, round, holder, device) DO UPDATE SET accepted = MAX(accepted, excluded.accepted)`,
    plan,
    round,
    verdict.holder,
    verdict.device,
    verdict.accepted ? 1 : 0,
  );
}

export const verdictsOf = (
  db: Database,
  plan: string,
  round: number,
  holder: string,
): { readonly device: string; readonly accepted: boolean }[] =>
  db
    .all<{ device: string; accepted: number }>(
      'SELECT device, accepted FROM verdicts WHERE plan = ? AND round = ? AND holder = ?',
      plan,
      round,
      holder,
    )
    .map(({ device, accepted }) => ({ device, accepted: accepted === 1 }));

export function putRejection(
  db: Database,
  plan: string,
  round: number,
  rejection: { device: string; holder: string; code: string; reason: string },
): void {
  db.run(
    'INSERT INTO rejections (plan, round, device, holder, code, reason) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
    plan,
    round,
    rejection.device,
    rejection.holder,
    rejection.code,
    rejection.reason,
  );
}

export const rejectionsOf = (db: Database, plan: string, round: number, device: string): string[] =>
  db
    .all<{ holder: string; code: string }>(
      'SELECT holder, code FROM rejections WHERE plan = ? AND round = ? AND device = ? ORDER BY holder',
      plan,
      round,
      device,
    )
    .map((row) => `${row.holder}: ${row.code}`);
