// Goal: a process that only sums over shares never loads node-seal, and says so where it would be needed.
import { expect, it } from 'vitest';
import { openSecagg, type SumScheme } from './scheme.ts';

const short: SumScheme = {
  transport: 'shares',
  suite: 'intl',
  kem: 'x25519',
  holderCount: 4,
  slotCount: 100,
  long: null,
  shortCount: 100,
  wordBits: 32,
  groups: 1,
};
const overBfv: SumScheme = { ...short, transport: 'bfv' };

it('shares work without node-seal; bfv throws INTERNAL until it is ready', async () => {
  const secagg = await openSecagg();
  await secagg.ready(short);
  const folder = secagg.folder(short);
  folder.add(new Uint8Array(secagg.sizes(short).body));
  expect(folder.count).toBe(1);
  const internal = expect.objectContaining({ code: 'INTERNAL' });
  expect(() => secagg.bfv).toThrow(internal);
  expect(() => secagg.sizes(overBfv)).toThrow(internal);
  expect(() => secagg.folder(overBfv)).toThrow(internal);
  await secagg.ready(overBfv);
  expect(secagg.sizes(overBfv).holderPart).toBeGreaterThan(0);
  expect(await openSecagg()).toBe(secagg);
});
