/**
 * Goal: the coordinator is killed before each kind of write of a round, restarted over the same file, and the round
 * ends as if nothing had happened: same sum, nothing lost, nothing counted, charged or logged twice.
 *
 * Tried by taking a protection out: with `markOnce` of repository.ts answering true always, eight of them fail.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { toHex } from '../crypto/bytes.ts';
import type { ParsedPlan } from '../protos/plan.ts';
import { realisedCharge } from '../protos/plan-mechanism.ts';
import * as repository from './rounds/repository.ts';
import {
  createDevices,
  createWorld,
  planOf,
  strongPrivacy,
  TestClock,
  type TestDevice,
  type TestWorld,
  until,
} from './testing.ts';
import { createHolders, type HolderCall } from './testing-holder.ts';
import { Host, type Participation, participate } from './testing-round.ts';

let world: TestWorld;
let devices: TestDevice[];
beforeAll(async () => {
  world = await createWorld();
  devices = await createDevices(world, 3);
});

interface Played {
  readonly host: Host;
  readonly parts: readonly Participation[];
}

/** One round with a death at the chosen write; `check` sees the coordinator that finished it. */
async function play(
  parsed: ParsedPlan,
  dieBefore: (name: string, occurrence: number) => boolean,
  check: (played: Played) => void,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'pulsefold-crash-'));
  const host = new Host(
    world,
    createHolders(world),
    join(directory, 'db'),
    { clock: new TestClock(50) },
    dieBefore,
  );
  try {
    await host.persist(async (bench) => bench.submit(parsed));
    const parts = await Promise.all(
      devices.map((device, i) =>
        participate(host, world, device, parsed, () => new Float64Array(3).fill(0.1 * i)),
      ),
    );
    // Erasures go on after the end, so the death may come after it, too.
    await until('it was killed', () => host.restarts === 1, 20_000);
    await until('the plan ends', () => host.bench.outcomes.has(parsed.hashHex), 20_000);
    check({ host, parts });
  } finally {
    await host.bench.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

function checkEnd(parsed: ParsedPlan, { host, parts }: Played): void {
  const { bench } = host;
  expect(bench.outcomes.get(parsed.hashHex)).toEqual({ status: 'finished', message: '1 rounds released' });
  for (const { reply } of parts) expect(reply).toMatchObject({ acknowledged: true, late: false });
  bench.store.read('test', (db) => {
    const sum = repository.getSum(db, parsed.hashHex, 1)!;
    const expected = parts[0]!.sealed.digits.map((_, i) =>
      parts.reduce((total, { sealed }) => total + sealed.digits[i]!, 0),
    );
    expect([...new Int32Array(sum.digits.slice().buffer)]).toEqual([...expected]);
    const ledger = bench.ledger.within(db);
    ledger.verify();
    for (const device of devices) {
      const { spent, reserved } = ledger.balance(toHex(device.pseudonym('1')));
      expect(reserved).toBe(0);
      expect(spent).toBeCloseTo(realisedCharge(parsed, 'training', 3, 'zcdp'), 9);
    }
  });
  const kinds = bench.log.leaves().map((leaf) => leaf.kind);
  const once = [
    'plan_approved',
    'ceremony',
    'round_opened',
    'round_certificate',
    'opened_sum',
    'release',
  ] as const;
  for (const kind of once) expect([kind, kinds.filter((one) => one === kind).length]).toEqual([kind, 1]);
}

/** Every write of one round, about in order of its first time; checked below against what a round really writes. */
const WRITES = [
  'submit-plan',
  'plan-status',
  'approve-plan',
  'committee-key',
  'initial-model',
  'open-round',
  'invite',
  'upload-chunk',
  'freeze-cohort',
  'save-round',
  'verdicts',
  'keep-signature',
  'fold-commit',
  'settle',
  'keep-partial',
  'opened-sum',
  'release',
  'drop-ciphertexts',
  'erased',
];

describe('killed before', () => {
  const plan = (name: string) => planOf(world, { name, privacy: strongPrivacy });

  test('the list of writes is complete', async () => {
    const seen = new Set<string>();
    const note = (name: string) => {
      seen.add(name);
      return name === 'erased';
    };
    await play(plan('whole'), note, (played) => checkEnd(plan('whole'), played));
    expect([...seen].sort()).toEqual([...WRITES].sort());
  });

  for (const write of WRITES)
    test(`the first ${write}`, async () => {
      const parsed = plan('first');
      const dieBefore = (name: string) => name === write;
      await play(parsed, dieBefore, (played) => checkEnd(parsed, played));
    });

  // In between: some invited, some uploaded, some signatures in, one phase saved and the next not.
  const later: [string, number][] = [
    ['invite', 3],
    ['upload-chunk', 3],
    ['save-round', 2],
    ['save-round', 4],
    ['save-round', 5],
    ['verdicts', 3],
    ['keep-signature', 3],
    ['keep-partial', 2],
    ['plan-status', 2],
  ];
  for (const [write, occurrence] of later)
    test(`${write} number ${occurrence}`, async () => {
      const parsed = plan('later');
      const dieBefore = (name: string, n: number) => name === write && n === occurrence;
      await play(parsed, dieBefore, (played) => checkEnd(parsed, played));
    });
});

describe('killed while holders work', () => {
  const calls: HolderCall[] = ['accept', 'certify', 'open'];
  for (const call of calls)
    test(`at the first ${call}, whose answer is lost`, async () => {
      const parsed = planOf(world, { name: 'holders', privacy: strongPrivacy });
      const directory = mkdtempSync(join(tmpdir(), 'pulsefold-crash-'));
      const holders = createHolders(world);
      const host = new Host(world, holders, join(directory, 'db'), { clock: new TestClock() });
      let killed = false;
      for (const holder of holders)
        holder.before = (one) => {
          if (one !== call || killed) return;
          killed = true;
          host.restart();
        };
      host.bench.submit(parsed);
      const parts = await Promise.all(
        devices.map((device) =>
          participate(host, world, device, parsed, () => new Float64Array(3).fill(0.2)),
        ),
      );
      await until('the plan ends', () => host.bench.outcomes.has(parsed.hashHex));
      expect(host.restarts).toBe(1);
      checkEnd(parsed, { host, parts });
      await host.bench.stop();
      rmSync(directory, { recursive: true, force: true });
    });
});
