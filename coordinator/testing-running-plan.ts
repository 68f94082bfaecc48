/**
 * A coordinator that runs one plan, and devices that send it the same small update: what tests of people's rights begin
 * with. For coordinator/**\/*.test.ts only.
 */
import type { ParsedPlan } from '../protos/plan.ts';
import { TestClock, type TestDevice, type TestWorld, until } from './testing.ts';
import { Bench, bindingOf, signUpload } from './testing-bench.ts';
import { createHolders } from './testing-holder.ts';
import { digitsOf } from './testing-round.ts';

export const UPDATE = Float64Array.of(0.1, 0.2, 0.3);

/** A started coordinator whose queue has taken up `parsed`. */
export async function runPlan(world: TestWorld, parsed: ParsedPlan): Promise<Bench> {
  const bench = new Bench(world, createHolders(world), { clock: new TestClock() }).start();
  bench.submit(parsed);
  await until('the plan runs', () => bench.coordinator.find(parsed.hash) !== null);
  return bench;
}

/** Seals UPDATE for a round under transport bfv and sends it. */
export async function sendUpdate(
  bench: Bench,
  device: TestDevice,
  parsed: ParsedPlan,
  round = 1,
): Promise<void> {
  const { world } = bench;
  const config = await bench.invited(device, parsed, round - 1);
  const { publicKey } = world.committee(round);
  const parts = world.bfv.encrypt(publicKey, digitsOf(parsed, config, UPDATE));
  await bench.put(device, signUpload(world, device, bindingOf(config), parts));
}

export const roundReleased = (bench: Bench, round: number): Promise<void> =>
  until(`round ${round} is over`, () =>
    bench.log.leaves().some((leaf) => leaf.kind === 'release' && leaf.round === round),
  );
