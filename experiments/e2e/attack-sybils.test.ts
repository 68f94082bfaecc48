/**
 * What Sybils leave of one person under a plan with privacy: the limit that docs/threat-model.md states. Devices that the
 * registrar enrolled are devices; when all but one of a cohort are the attacker's, the opened sum minus theirs is the
 * victim's protected vector, with the victim's own share of the noise and no other. γ counts exactly those shares, so
 * the stated ε does not hold for such a cohort, and the ε of that one share does.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { strongPrivacy } from '../../coordinator/testing.ts';
import { protectPerson, toDigits } from '../../crypto/dp/mechanism.ts';
import { noiseShares } from '../../crypto/dp/plan-accounting.ts';
import { parseRational } from '../../crypto/dp/rational.ts';
import { systemRandom } from '../../crypto/random.ts';
import { mechanismOf } from '../../protos/plan-mechanism.ts';
import { layoutOf } from '../../protos/plan-scheme.ts';
import { createUpdate, type Update } from './testing-attacks.ts';
import { minus, plain, Stage } from './testing-stage.ts';

const DIMENSION = 256;
const VARIANCE = Number(strongPrivacy.noiseVariance);

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open({ transport: 'shares', inputs: DIMENSION - 1, privacy: strongPrivacy }, 3);
});
afterAll(() => stage?.close());

/** An update of nothing, protected as every person's is: what is in it is noise. */
function protectedZeros(update: Update): Update {
  const { world, key } = stage;
  const parameters = mechanismOf(world.parsed, 'training', 1);
  const values = protectPerson(new Float64Array(DIMENSION), parameters, systemRandom);
  const digits = toDigits(values, layoutOf(world.parsed, 'training'));
  return createUpdate(world, key, update.identity, digits);
}
const varianceOf = (values: Int32Array): number =>
  values.reduce((sum, value) => sum + value ** 2, 0) / values.length;

it('enrolled Sybils around one victim leave it one share of noise, where the stated ε counts two', async () => {
  const { gamma } = strongPrivacy;
  const { cohortMin } = stage.world.parsed.plan.rounds;
  expect(noiseShares(parseRational(gamma), cohortMin)).toBe(2);
  const [victim, ...sybils] = stage.honest as [Update, ...Update[]];
  const own = protectedZeros(victim);
  // The Sybils add no noise and know what they sent.
  const silent = sybils.map(({ identity }) =>
    createUpdate(stage.world, stage.key, identity, new Int32Array(DIMENSION)),
  );
  const { sum } = await stage.play(stage.ports(), [own, ...silent]);
  expect(minus(sum!, plain(silent))).toEqual(own.digits);
  // One standard deviation of a variance estimated from 256 values is 9 % of it.
  expect(varianceOf(sum!) / VARIANCE).toBeGreaterThan(0.5);
  expect(varianceOf(sum!) / VARIANCE).toBeLessThan(1.5);

  // With γ·cohortMin of them, rounded down to none here, the sum has at least the shares that ε counts.
  const honest = stage.honest.map(protectedZeros);
  const open = await stage.play(stage.ports(), honest);
  expect(open.sum).toEqual(plain(honest));
  expect(varianceOf(open.sum!) / VARIANCE).toBeGreaterThan(1.8);
});
