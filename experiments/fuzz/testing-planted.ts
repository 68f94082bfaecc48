/**
 * Planted bugs, one or more for each invariant, and a short story in which each shows. All of them are ports wrapped
 * around role code that stays as it is: what such a bug in the code itself would do to everybody else.
 *
 * For fuzz-planted.test.ts only. Not exported by the package.
 */
import { encodeReceipt, parseReceipt } from '../../protos/receipt.ts';
import { receiptStatement } from '../../protos/statements.ts';
import type { Invariant } from './observer.ts';
import { type Op, type Scenario, type Story, scenarioSchema } from './ops.ts';
import type { PlantedBug } from './planted.ts';
import { GatedHolderStore } from './stores.ts';
import {
  afterTransaction,
  foldsTwice,
  forgetful,
  forgets,
  inPieces,
  savesOnly,
  twice,
} from './testing-wrappers.ts';
import type { FuzzWorld } from './world.ts';

export interface PlantedCase {
  readonly name: string;
  readonly breaks: Invariant;
  readonly bug: (world: FuzzWorld) => PlantedBug;
  readonly scenario?: Partial<Scenario>;
  readonly ops: readonly Op[];
}

/** Three devices, one training round, with a budget for exactly that round. */
export const SMALL: Scenario = scenarioSchema.parse({
  transport: 'shares',
  privacy: true,
  training: 1,
  evaluation: 0,
  spare: 1,
  warm: true,
  devices: 3,
  cohortMin: 2,
  cohortTarget: 3,
  cohortMax: 3,
  liar: 0,
});

/** The story in which a case shows. */
export const storyOf = ({ scenario, ops }: Pick<PlantedCase, 'scenario' | 'ops'>): Story => ({
  seed: 'planted',
  scenario: { ...SMALL, ...scenario },
  ops: [...ops],
});

export const wait = (afterMs: number): Op => ({ type: 'wait', afterMs });
export const crash = (who: string, afterMs = 0): Op => ({ type: 'crash', who, downMs: 0, afterMs });
export const net = (
  link: string,
  fault: Extract<Op, { type: 'network' }>['fault'],
  count: number,
  amount = 20,
): Op => ({ type: 'network', link, fault, count, amount, afterMs: 0 });

/** Without any fault: what happens from the opening of a round to its end, looked at from time to time. */
export const ROUND: readonly Op[] = [...Array.from({ length: 10 }, () => wait(15)), wait(400)];

export const plantedInRounds: readonly PlantedCase[] = [
  {
    name: 'a fold that adds one upload twice',
    breaks: 'sum-is-of-the-certified',
    bug: () => ({ coordinator: { wrapSecagg: foldsTwice } }),
    ops: ROUND,
  },
  {
    name: 'a stored sum that is of nobody',
    breaks: 'sum-is-of-the-certified',
    bug: () => ({
      coordinator: {
        wrapStore: afterTransaction('opened-sum', (db) => {
          db.run('UPDATE sums SET digits = zeroblob(length(digits))');
        }),
      },
    }),
    ops: ROUND,
  },
  {
    name: 'a client that seals again after a crash',
    breaks: 'one-upload-per-round',
    bug: () => ({
      device: savesOnly((state) => ({ ...state, undecided: [], finishedRounds: {}, turns: {} })),
    }),
    // A budget for two rounds, so that the second update fits; the model comes, the upload does not.
    scenario: { training: 2 },
    ops: [
      net('device0', 'duplicate', 1),
      net('device0', 'lose-request', 1),
      wait(100),
      crash('device0', 400),
      wait(400),
    ],
  },
  {
    name: 'a sealer that forgets the masks',
    breaks: 'sealed-before-it-leaves',
    bug: () => ({
      sealer: (sealer) => ({
        seal(request) {
          const digits = request.digits.slice();
          const sealed = sealer.seal(request);
          const words = request.scheme.wordBits === 16 ? Int16Array.from(digits) : digits;
          return { ...sealed, body: new Uint8Array(words.buffer.slice(0)) };
        },
      }),
    }),
    ops: ROUND,
  },
  {
    name: 'an upload that is acknowledged before it is durable',
    breaks: 'acknowledged-stays',
    bug: () => ({ coordinator: { wrapStore: forgets(/^upload/) } }),
    ops: [wait(400), crash('coordinator', 400)],
  },
  {
    name: 'a second receipt that says something else',
    breaks: 'receipts-agree',
    bug: ({ suite, coordinatorKey }) => {
      let told = 0;
      return {
        coordinator: {
          wrapAnswer(method, answer) {
            const { receipt: bytes } = answer as { receipt?: Uint8Array };
            if (method !== 'getReceipt' || !bytes || ++told < 2) return answer;
            const { inclusion: _i, charge: _c, ledger: _l, ...rest } = parseReceipt(bytes);
            const receipt = encodeReceipt({ ...rest, outcome: 'late' });
            const signature = suite.sign(coordinatorKey.secretKey, receiptStatement(receipt));
            return { ...(answer as object), receipt, signature };
          },
        },
      };
    },
    ops: [net('device0', 'duplicate', 50), wait(400), wait(400), wait(400)],
  },
  {
    name: 'a key holder that forgets what it signed',
    breaks: 'one-statement-per-round',
    bug: () => ({ holder: { openStore: forgetful } }),
    ops: [wait(400), { type: 'equivocate', how: 'abort', afterMs: 100 }],
  },
  {
    name: 'a settlement without a transaction',
    breaks: 'one-ending-per-round',
    bug: () => ({ coordinator: { wrapStore: inPieces('settle') } }),
    ops: ROUND,
  },
  {
    name: 'a settlement that is applied twice',
    breaks: 'one-ending-per-round',
    bug: () => ({ coordinator: { wrapStore: twice('settle', 'settled/%') } }),
    // With a budget the ledger would refuse the second one.
    scenario: { privacy: false },
    ops: ROUND,
  },
  {
    name: 'reservations that outlive their settlement, and a limit that shrinks',
    breaks: 'ledger-within-budget',
    bug: () => ({
      coordinator: {
        wrapStore: afterTransaction('settle', (db) => {
          db.run('DROP TRIGGER IF EXISTS budget_balances_no_update');
          db.run('UPDATE budget_balances SET limit_steps = spent_steps');
          db.run('DROP TRIGGER IF EXISTS budget_holds_end');
          db.run("UPDATE budget_holds SET state = 'reserved'");
        }),
      },
    }),
    ops: ROUND,
  },
  {
    name: 'a settlement that charges nobody',
    breaks: 'ledger-follows-certificates',
    bug: () => ({
      coordinator: {
        wrapStore: afterTransaction('settle', (db) => {
          db.run('UPDATE budget_balances SET spent_steps = 0');
        }),
      },
    }),
    ops: ROUND,
  },
  {
    name: 'a device that counts its reservations twice',
    breaks: 'device-within-budget',
    bug: () => ({
      device: savesOnly((state) => {
        const { person } = state.budget;
        if (!person) return state;
        const copies = Object.entries(person.reservations).map(([id, held]) => [
          `copy-${id}`.slice(0, 90),
          held,
        ]);
        const reservations = { ...person.reservations, ...Object.fromEntries(copies) };
        return { ...state, budget: { person: { ...person, reservations } } };
      }),
    }),
    ops: ROUND,
  },
  {
    name: 'a device that forgets what it has spent',
    breaks: 'device-charged-enough',
    bug: () => ({ device: savesOnly((state) => ({ ...state, budget: {} })) }),
    ops: ROUND,
  },
  {
    name: 'a log that loses its last leaf in a crash',
    breaks: 'log-only-grows',
    bug: () => ({
      coordinator: {
        betweenLives: (disk) =>
          disk.transaction('planted', (db) => {
            db.run('DROP TRIGGER IF EXISTS log_leaves_no_delete');
            db.run('DELETE FROM log_leaves WHERE number = (SELECT MAX(number) FROM log_leaves)');
          }),
      },
    }),
    ops: [wait(20), crash('coordinator')],
  },
  {
    name: 'a log whose first leaf is written again',
    breaks: 'log-replays',
    bug: () => ({
      coordinator: {
        wrapStore: afterTransaction('release', (db) => {
          db.run('DROP TRIGGER IF EXISTS log_leaves_no_update');
          db.run(
            'UPDATE log_leaves SET data = (SELECT data FROM log_leaves WHERE number = 1) WHERE number = 0',
          );
        }),
      },
    }),
    ops: ROUND,
  },
  {
    name: 'a released model that is not the one of the log',
    breaks: 'auditor-agrees',
    bug: () => ({
      coordinator: {
        wrapStore: afterTransaction('release', (db) => {
          db.run(
            'UPDATE blobs SET data = zeroblob(length(data)) WHERE digest = (SELECT model_hash FROM plans LIMIT 1)',
          );
        }),
      },
    }),
    ops: ROUND,
  },
  {
    name: 'a handler that fails without a code',
    breaks: 'no-internal-error',
    bug: () => ({
      coordinator: {
        wrapAnswer(method, answer) {
          if (method === 'checkIn') throw new TypeError('planted');
          return answer;
        },
      },
    }),
    ops: ROUND,
  },
  {
    name: 'a coordinator that shows another committee key',
    breaks: 'no-false-alarm',
    bug: () => ({
      coordinator: {
        wrapAnswer(method, answer) {
          const { invitation } = answer as { invitation?: { committeeKey: Uint8Array } };
          if (method !== 'checkIn' || !invitation) return answer;
          return {
            invitation: { ...invitation, committeeKey: new Uint8Array(invitation.committeeKey.length) },
          };
        },
      },
    }),
    ops: ROUND,
  },
  {
    name: 'key holders that cannot keep what they sign',
    breaks: 'the-plan-ends',
    bug: () => ({
      holder: {
        openStore(path, life, gate) {
          const store = new GatedHolderStore(path, life, gate);
          store.putStatement = () => {
            throw Object.assign(new Error('database or disk is full'), { code: 'ERR_SQLITE_ERROR' });
          };
          return store;
        },
      },
    }),
    ops: ROUND,
  },
];
