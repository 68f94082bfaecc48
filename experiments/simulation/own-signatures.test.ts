import { expect, it, vi } from 'vitest';
import { utf8 } from '../../crypto/bytes.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import { ownSignatures } from './own-signatures.ts';

it('knows what it signed, and leaves everything else to the suite', () => {
  const verify = vi.fn(getSuite('intl').verify);
  const base = { ...getSuite('intl'), verify };
  const [own, other] = [base.generateSigningKey(), base.generateSigningKey()];
  const suite = ownSignatures(base, [own]);
  const message = utf8('statement');
  const signature = suite.sign(own.secretKey, message);
  expect(suite.verify(own.publicKey, message, signature)).toBe(true);
  expect(verify).not.toHaveBeenCalled();

  const flipped = signature.slice();
  flipped[7]! ^= 1;
  expect(suite.verify(own.publicKey, message, flipped)).toBe(false);
  expect(suite.verify(own.publicKey, utf8('another'), signature)).toBe(false);
  expect(suite.verify(other.publicKey, message, signature)).toBe(false);
  expect(suite.verify(other.publicKey, message, suite.sign(other.secretKey, message))).toBe(true);
  expect(verify).toHaveBeenCalledTimes(4);
});
