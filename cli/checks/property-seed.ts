/**
 * One seed for every property of the test suite, so that a change fails for what it does and not for the day it is
 * tested on. `PULSEFOLD_PROPERTY_SEED=random npm run test:fast` searches elsewhere; a failure prints its seed, and
 * `PULSEFOLD_PROPERTY_SEED=<seed>` repeats it.
 *
 * Trusts: nothing. May be called by: vitest (setupFiles).
 */
import fc from 'fast-check';

const FIXED_SEED = 20_261_122;

const asked = process.env.PULSEFOLD_PROPERTY_SEED ?? String(FIXED_SEED);
if (asked !== 'random') {
  const seed = Number(asked);
  if (!Number.isSafeInteger(seed)) throw new Error('PULSEFOLD_PROPERTY_SEED: a whole number, or "random"');
  fc.configureGlobal({ ...fc.readConfigureGlobal(), seed });
}
