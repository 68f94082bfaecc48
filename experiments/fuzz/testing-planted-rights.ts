/**
 * Planted bugs about groups, masks, witnesses, two plans and people's rights, as those in testing-planted.ts.
 *
 * For tests only. Not exported by the package.
 */
import { rmSync } from 'node:fs';
import type { Op } from './ops.ts';
import { crash, net, type PlantedCase, plantedInRounds, ROUND, wait } from './testing-planted.ts';
import { afterTransaction, blindTo, damaged, savesOnly, sealerWithOneMask } from './testing-wrappers.ts';

const person = (type: 'erase' | 'ask-report' | 'come-back', device: number, afterMs = 0): Op => ({
  type,
  device,
  afterMs,
});
const consent = (device: number, expiresInMs = 0): Op => ({
  type: 'consent',
  device,
  expiresInMs,
  afterMs: 0,
});
/** Rounds go on for a while. */
const LATER: readonly Op[] = Array.from({ length: 8 }, () => wait(150));

const plantedInSums: readonly PlantedCase[] = [
  {
    name: 'a sum whose groups have changed places',
    breaks: 'groups-are-as-drawn',
    bug: () => ({
      coordinator: {
        wrapStore: afterTransaction('opened-sum', (db) => {
          const { digits } = db.get<{ digits: Uint8Array }>('SELECT digits FROM sums LIMIT 1')!;
          const length = digits.length / 3;
          const group = (i: number) => digits.subarray(i * length, (i + 1) * length);
          db.run('UPDATE sums SET digits = ?', Buffer.concat([group(2), group(1), group(0)]));
        }),
      },
    }),
    scenario: { groups: 'median', devices: 6, cohortMin: 6, cohortTarget: 6, cohortMax: 6 },
    ops: ROUND,
  },
  {
    name: 'a generator that repeats itself',
    breaks: 'masks-are-fresh',
    bug: () => ({ sealer: sealerWithOneMask }),
    ops: ROUND,
  },
  {
    name: 'key holders whose stored signatures are damaged',
    breaks: 'signed-by-its-key',
    bug: () => ({ holder: { openStore: damaged } }),
    ops: [net('holder1', 'duplicate', 50), ...ROUND],
  },
];

const plantedOverPlans: readonly PlantedCase[] = [
  {
    name: 'a ledger that forgets between plans what was spent',
    breaks: 'budget-spans-plans',
    bug: () => ({
      coordinator: {
        wrapStore: afterTransaction('settle', (db) => {
          db.run('UPDATE budget_balances SET spent_steps = 0');
          db.run('UPDATE budget_quotas SET spent_steps = 0');
        }),
      },
    }),
    // Devices 0 and 1 take part in the first plan; 1 and 2 allow what the second one asks for.
    scenario: { plans: 'clash', cohortTarget: 2, cohortMax: 2 },
    ops: LATER,
  },
  {
    name: 'a witness that forgets what it has cosigned',
    breaks: 'witness-never-goes-back',
    bug: () => ({
      witness: {
        betweenLives(path) {
          for (const file of [path, `${path}-wal`, `${path}-shm`]) rmSync(file, { force: true });
        },
      },
    }),
    scenario: { witnesses: 1 },
    ops: [net('witness1', 'duplicate', 1, 700), wait(250), wait(250), crash('witness1'), wait(250)],
  },
];

const plantedInRights: readonly PlantedCase[] = [
  {
    name: 'a coordinator that overlooks when a consent ends',
    breaks: 'consent-comes-first',
    bug: () => ({
      coordinator: {
        wrapStore: afterTransaction('consent', (db) => {
          db.run('UPDATE consents SET expires_ms = NULL');
        }),
      },
    }),
    scenario: { consent: 'asked', privacy: false, training: 4 },
    // The device's clock is two minutes behind: it takes its consent to last so much longer.
    ops: [
      { type: 'clock', who: 'device0', jumpMs: -120_000, afterMs: 0 },
      ...[consent(0, 120_400), consent(1), consent(2)],
      ...LATER,
    ],
  },
  {
    name: 'a withdrawal that both sides forget',
    breaks: 'withdrawn-stays-out',
    bug: () => ({
      coordinator: {
        wrapStore: afterTransaction('withdraw', (db) => {
          db.run('DELETE FROM withdrawals');
        }),
      },
      device: savesOnly((state) => ({ ...state, withdrawals: [] })),
    }),
    scenario: { privacy: false, training: 4 },
    ops: [{ type: 'withdraw', device: 0, extent: 'plan', afterMs: 100 }, person('come-back', 0), ...LATER],
  },
  {
    name: 'an erasure after which a copy of the keys is somebody new',
    breaks: 'erased-stays-out',
    bug: () => ({
      coordinator: {
        wrapStore: afterTransaction('erase-device', (db) => {
          db.run('DELETE FROM erased_devices');
          db.run("DELETE FROM pseudonyms WHERE device LIKE 'erased-%'");
        }),
      },
    }),
    scenario: { privacy: false, training: 4 },
    ops: [person('erase', 0, 100), person('come-back', 0), ...LATER],
  },
  {
    name: 'a coordinator that notes whom it has erased',
    breaks: 'erased-is-forgotten',
    bug: ({ devices }) => ({
      coordinator: {
        wrapStore: afterTransaction('erase-device', (db) => {
          const mark = `erased ${devices[0]!.subjectId}`;
          db.run('INSERT INTO once VALUES (?) ON CONFLICT DO NOTHING', mark);
        }),
      },
    }),
    scenario: { privacy: false },
    ops: [wait(50), person('erase', 0, 100), ...ROUND],
  },
  {
    name: 'a retention that leaves a table out',
    breaks: 'retention-is-kept',
    bug: ({ devices }) => ({
      coordinator: {
        wrapStore: afterTransaction('forget-plan', (db) => {
          const { hash } = db.get<{ hash: string }>('SELECT hash FROM plans LIMIT 1')!;
          db.run("INSERT INTO lates VALUES (?, 1, ?, '', x'')", hash, devices[1]!.subjectId);
        }),
      },
    }),
    scenario: { privacy: false, consent: 'given' },
    ops: ROUND,
  },
  {
    name: 'a report that leaves uploads out',
    breaks: 'report-is-whole',
    bug: () => ({ coordinator: { wrapStore: blindTo('subject-round', /FROM uploads/) } }),
    scenario: { privacy: false },
    ops: [wait(200), wait(150), person('ask-report', 0), wait(150)],
  },
];

export const plantedElsewhere: readonly PlantedCase[] = [
  ...plantedInSums,
  ...plantedOverPlans,
  ...plantedInRights,
];
export const plantedCases: readonly PlantedCase[] = [...plantedInRounds, ...plantedElsewhere];
