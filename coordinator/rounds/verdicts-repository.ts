/**
 * The tables of what each holder said about each upload: verdicts, and the reasons of rejections.
 *
 * Trusts: its own database. May be called by: coordinator/rounds through repository.ts.
 */
import type { Database } from '../storage/store.ts';

/** One row per answer of a holder: a row per device and holder would cost more than everything else that is stored of it. */
export function putVerdicts(
  db: Database,
  plan: string,
  round: number,
  verdict: { readonly holder: string; readonly devices: readonly string[]; readonly accepted: boolean },
): void {
  if (verdict.devices.length === 0) return;
  db.run(
    'INSERT INTO verdict_lists (plan, round, holder, devices, accepted) VALUES (?, ?, ?, ?, ?)',
    plan,
    round,
    verdict.holder,
    JSON.stringify(verdict.devices),
    verdict.accepted ? 1 : 0,
  );
}

/** Once accepted stays accepted; a holder may accept later what it could not check before. */
export function verdictsOf(db: Database, plan: string, round: number, holder: string): Map<string, boolean> {
  const verdicts = new Map<string, boolean>();
  for (const { devices, accepted } of db.all<{ devices: string; accepted: number }>(
    'SELECT devices, accepted FROM verdict_lists WHERE plan = ? AND round = ? AND holder = ? ORDER BY rowid',
    plan,
    round,
    holder,
  ))
    for (const device of JSON.parse(devices) as string[])
      verdicts.set(device, verdicts.get(device) === true || accepted === 1);
  return verdicts;
}

/** What each holder said of one device. */
export const verdictsAbout = (
  db: Database,
  plan: string,
  round: number,
  device: string,
): { readonly holder: string; readonly accepted: boolean }[] =>
  db
    .all<{ holder: string; accepted: number }>(
      `SELECT holder, MAX(accepted) AS accepted FROM verdict_lists
       WHERE plan = ? AND round = ? AND instr(devices, ?) > 0 GROUP BY holder ORDER BY holder`,
      plan,
      round,
      JSON.stringify(device),
    )
    .map(({ holder, accepted }) => ({ holder, accepted: accepted === 1 }));

/** Puts another name in the place of a device; returns in how many answers it stood. */
export const renameInVerdicts = (
  db: Database,
  { plan, round, device }: { readonly plan: string; readonly round: number; readonly device: string },
  name: string,
): { changes: number } =>
  db.run(
    `UPDATE verdict_lists SET devices = replace(devices, ?3, ?4)
     WHERE plan = ?1 AND round = ?2 AND instr(devices, ?3) > 0`,
    plan,
    round,
    JSON.stringify(device),
    JSON.stringify(name),
  );

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
