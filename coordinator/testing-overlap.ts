/**
 * Rounds that overlap, for coordinator/overlap*.test.ts only: a plan, a coordinator that can be killed, devices that take
 * part in whatever they can, and what the log must say in the end.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { toHex } from '../crypto/bytes.ts';
import { isPulsefoldError } from '../crypto/error.ts';
import type { ParsedPlan } from '../protos/plan.ts';
import { type EncodedRoundConfig, parseRoundConfig } from '../protos/round-config.ts';
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
import { type Bench, type Sealed, sealFor } from './testing-bench.ts';
import { createHolders } from './testing-holder.ts';
import { digitsOf, Host } from './testing-round.ts';

export const WINDOW_MS = 60_000;
type Devices = readonly [TestDevice, TestDevice, TestDevice, TestDevice, TestDevice, TestDevice];

export class Stage {
  readonly world: TestWorld;
  readonly devices: Devices;

  static async open(): Promise<Stage> {
    const world = await createWorld();
    return new Stage(world, (await createDevices(world, 6)) as unknown as Devices);
  }

  private constructor(world: TestWorld, devices: Devices) {
    this.world = world;
    this.devices = devices;
  }

  plan(rounds: Readonly<Record<string, number>> = {}, name = 'overlap'): ParsedPlan {
    return planOf(this.world, {
      name,
      training: { strategy: 'fedbuff' },
      aggregation: { transport: 'shares' },
      privacy: { ...strongPrivacy, epsilon: '40' },
      rounds: { training: 2, overlap: 1, cohortTarget: 4, checkInWindowMs: WINDOW_MS, ...rounds },
    });
  }

  async onHost(
    parsed: ParsedPlan,
    body: (host: Host, clock: TestClock) => Promise<void>,
    dieBefore?: (name: string, occurrence: number) => boolean,
  ): Promise<void> {
    const directory = mkdtempSync(join(tmpdir(), 'pulsefold-overlap-'));
    const clock = new TestClock();
    const holders = createHolders(this.world);
    const host = new Host(this.world, holders, join(directory, 'db'), { clock }, dieBefore);
    try {
      await host.persist(async (bench) => bench.submit(parsed));
      await body(host, clock);
    } finally {
      await host.bench.stop();
      rmSync(directory, { recursive: true, force: true });
    }
  }

  sealed(device: TestDevice, parsed: ParsedPlan, config: EncodedRoundConfig): Sealed {
    const vector = new Float64Array(3).fill(0.1 * (1 + this.devices.indexOf(device)));
    return sealFor(this.world, device, parsed, config, digitsOf(parsed, config, vector));
  }

  /** A device that takes part in every round it can, whatever becomes of the coordinator. */
  async takePart(host: Host, device: TestDevice, parsed: ParsedPlan): Promise<void> {
    const made = new Map<number, Sealed>();
    for (let roundAfter = 0; ; ) {
      const reply = await host.persist((bench) => bench.checkIn(device, parsed, { roundAfter, waitMs: 50 }));
      if (reply.finished) return;
      if (!reply.invitation) {
        await new Promise((resolve) => setTimeout(resolve, 2));
        continue;
      }
      const config = parseRoundConfig(reply.invitation.config, this.world.suite);
      const { round } = config.config;
      const upload = made.get(round) ?? this.sealed(device, parsed, config);
      made.set(round, upload);
      await host
        .persist((bench) => bench.put(device, upload))
        .catch((error: unknown) => {
          if (!isPulsefoldError(error)) throw error;
        });
      roundAfter = round;
    }
  }
}

export const openRounds = ({ coordinator }: Bench, parsed: ParsedPlan): string[] =>
  coordinator.find(parsed.hash)?.open.map(({ state }) => `${state.round} ${state.phase}`) ?? [];

/** What the log alone says: each round from the newest model, released in order, as stale as stated. */
function checkLog(bench: Bench, parsed: ParsedPlan, rounds: number): void {
  const versions = [bench.store.read('test', (db) => repository.getRound(db, parsed.hashHex, 1)!.model_hash)];
  const started = new Map<number, number>();
  const released: number[] = [];
  for (const leaf of bench.log.leaves())
    if (leaf.kind === 'round_opened') {
      expect(leaf.modelHash).toBe(versions.at(-1));
      started.set(leaf.round, versions.length - 1);
    } else if (leaf.kind === 'release') {
      expect(leaf.staleness).toBe(versions.length - 1 - started.get(leaf.round)!);
      versions.push(leaf.contentHash);
      released.push(leaf.round);
    }
  expect(released).toEqual(Array.from({ length: rounds }, (_, i) => i + 1));
}

/** Three rounds, two at a time, with a death before the chosen write; they end as if nothing had happened. */
export function killedBefore(deaths: readonly (readonly [string, number])[]): void {
  describe('killed with two rounds open, before', () => {
    let stage: Stage;
    beforeAll(async () => {
      stage = await Stage.open();
    });
    test.each(deaths)('%s number %i', async (write, occurrence) => {
      const parsed = stage.plan({ training: 3, cohortTarget: 3, cohortMax: 3 }, 'killed');
      const dieBefore = (name: string, n: number) => name === write && n === occurrence;
      const play = async (host: Host): Promise<void> => {
        await Promise.all(stage.devices.map((device) => stage.takePart(host, device, parsed)));
        await until('the plan ends', () => host.bench.outcomes.has(parsed.hashHex));
        expect(host.restarts).toBe(1);
        expect(host.bench.outcomes.get(parsed.hashHex)!.message).toBe('3 rounds released');
        checkLog(host.bench, parsed, 3);
        host.bench.store.read('test', (db) => {
          const ledger = host.bench.ledger.within(db);
          ledger.verify();
          for (const device of stage.devices)
            expect(ledger.balance(toHex(device.pseudonym('1'))).reserved).toBe(0);
        });
      };
      await stage.onHost(parsed, play, dieBefore);
    });
  });
}
