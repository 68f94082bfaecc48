import { expect, it } from 'vitest';
import * as crypto from './index.ts';

it('offers the accountants as one would use them from outside', () => {
  const list = crypto.parseEventList(
    '[{"mechanism":"distributed_discrete_gaussian","sigma2":"10000","shares":8,"dimension":20,"sensitivity":100,"count":10}]',
  );
  const event: crypto.DpEvent = { type: 'composed', events: list.map((one) => one.event) };
  const [pld, rdp, zcdp] = crypto.ACCOUNTANTS.map((name) => crypto.accountEpsilon(name, event, 1e-6));
  expect(pld!.high).toBeLessThan(zcdp!.high);
  expect(rdp!.low).toBe(pld!.low);
  expect(crypto.accountDelta('pld', event, pld!.high).high).toBeCloseTo(1e-6, 9);
  expect(crypto.gaussianDelta(1, 1)).toBeCloseTo(0.126936737507, 11);
  expect(crypto.zcdp(event)).toBeCloseTo(10 / 16, 6);
});

it('offers nothing that can be predicted from a seed', () => {
  expect(Object.keys(crypto).filter((name) => /seeded|systemRandom/i.test(name))).toEqual([]);
});
