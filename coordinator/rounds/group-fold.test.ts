// Goal: every group's sum is over its members once, whichever worker fails; folding stops with the round, and a failure
// of the main thread is told and can be tried again.
import { beforeEach, describe, expect, test } from 'vitest';
import type { BodyPlaces, FoldShard } from '../aggregation/fold-shard.ts';
import { codeOf } from '../testing.ts';
import { GroupFold, type GroupFoldParts } from './group-fold.ts';

const NAMES = Array.from({ length: 100 }, (_, i) => i);
const device = (i: number) => `device-${i}`;
/** A place whose length is the device's number: the shards here add up lengths. */
const placesOf = (devices: readonly string[]): BodyPlaces[] =>
  devices.map((id) => [{ segment: 0, position: 0, length: Number(id.slice(7)) }]);

class Adder implements FoldShard {
  readonly name: string;
  closed = false;
  adds = 0;
  total = 0;
  readonly #fails: boolean;
  constructor(name: string, fails = false) {
    this.name = name;
    this.#fails = fails;
  }
  async add(bodies: readonly BodyPlaces[]): Promise<void> {
    this.adds++;
    for (const [place] of bodies) this.total += place!.length;
    if (this.#fails && this.adds === 2) throw new Error('died');
  }
  async sum(): Promise<Uint8Array> {
    return new Uint8Array(new Int32Array([this.total]).buffer);
  }
  close(): void {
    this.closed = true;
  }
}

let made: Adder[];
let warnings: number;
let stopped: boolean;
beforeEach(() => {
  made = [];
  warnings = 0;
  stopped = false;
});

function fold(
  workers: number,
  changes: Partial<GroupFoldParts> & { readonly failing?: number } = {},
): GroupFold {
  const make = (name: string, fails = false): Adder => {
    made.push(new Adder(name, fails));
    return made.at(-1)!;
  };
  return new GroupFold({
    logger: { info: () => {}, error: () => {}, warn: () => void warnings++ },
    round: 1,
    isStopped: () => stopped,
    openShards: () => Array.from({ length: workers }, (_, i) => make(`worker ${i}`, i === changes.failing)),
    openLocalShard: () => make('main thread'),
    placesOf,
    ...changes,
  });
}

const groups = [NAMES.slice(0, 70), NAMES.slice(70, 90), NAMES.slice(90)].map((group) => group.map(device));
const expected = [2415, 1590, 945];
const sumsOf = async (one: GroupFold): Promise<number[]> =>
  (await one.sumsOf(groups)).map((bytes) => new Int32Array(bytes.slice().buffer)[0]!);

describe('GroupFold', () => {
  test.each([0, 1, 2, 5])('with %i workers', async (workers) => {
    const one = fold(workers);
    expect(await sumsOf(one)).toEqual(expected);
    const shards = made.length;
    // Asked again, nothing is folded again.
    expect(await sumsOf(one)).toEqual(expected);
    expect(made).toHaveLength(shards);
    expect(made.filter(({ name }) => name.startsWith('worker')).every(({ closed }) => closed)).toBe(true);
    expect(made.reduce((total, shard) => total + shard.total, 0)).toBe(4950);
  });

  test('a worker that dies in the middle of a group: the main thread folds that group from its start', async () => {
    expect(await sumsOf(fold(2, { failing: 0 }))).toEqual(expected);
    expect(warnings).toBe(1);
    expect(made.some(({ name }) => name === 'main thread')).toBe(true);
  });

  test('a failure of the main thread is told, and trying again folds anew', async () => {
    let fails = true;
    const one = fold(0, {
      placesOf(devices) {
        if (fails) throw new Error('no such file');
        return placesOf(devices);
      },
    });
    await expect(sumsOf(one)).rejects.toThrow('no such file');
    fails = false;
    expect(await sumsOf(one)).toEqual(expected);
  });

  test('stops between two batches', async () => {
    const one = fold(1, {
      placesOf(devices) {
        stopped = true;
        return placesOf(devices);
      },
    });
    expect(await codeOf(() => sumsOf(one))).toBe('UNAVAILABLE');
    expect(warnings).toBe(0);
    expect(made[0]!.adds).toBe(1);
  });
});
