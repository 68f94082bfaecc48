/**
 * Rationals and decimals as plans and leaves write them. Trusts: that their form was checked by a parser. May be called
 * by: auditor/.
 */

/** Numerator and denominator of '1/3', '0.25' or '7'. */
export function fraction(text: string): [bigint, bigint] {
  const [left, right] = text.split('/');
  if (right !== undefined) return [BigInt(left!), BigInt(right)];
  const [whole, decimals = ''] = left!.split('.');
  return [BigInt(whole! + decimals), 10n ** BigInt(decimals.length)];
}

/** As a double; 'Infinity' and exponents too, as leaves may hold them. */
export function real(text: string): number {
  const [left, right] = text.split('/');
  return right === undefined ? Number(left) : Number(left) / Number(right);
}
