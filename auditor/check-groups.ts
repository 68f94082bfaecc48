/**
 * Groups of a round: that there are as many as the plan says, equally cut, most of them valid, and that the partition
 * came from values that two key holders each stand for.
 *
 * What it cannot see: who is in which group, since device ids are not exported. A device could find its own group from the
 * same values (docs/protocol.md, "Groups").
 * Trusts: the public keys in the plan. May be called by: auditor/check-rounds.ts.
 */
import { fromHex } from '../crypto/bytes.ts';
import { partitionDrawStatement } from '../protos/statements.ts';
import type { RoundContext } from './check-rounds.ts';
import { groupCountOf, groupSizesOf } from './group-terms.ts';
import type { Numbered, RoundLeaves } from './round-book.ts';
import type { RoundFile } from './run-directory.ts';

/** Hexadecimal digits of one of a holder's three values. */
const VALUE_DIGITS = 64;
/** f + 1: among them one honest holder. */
const VOUCHERS_MIN = 2;

/** `statement`: of the certificate; undefined where there is none, which other checks report. */
export function checkGroups(
  context: RoundContext,
  leaves: RoundLeaves,
  file: RoundFile | undefined,
  statement: Uint8Array | undefined,
): void {
  const [sum] = leaves.opened_sum;
  if (!sum || !file?.sum) return;
  const count = groupCountOf(context.parsed.plan, leaves.round_opened[0]?.leaf.purpose ?? 'training');
  if (count === 1) checkNone(context, sum, file);
  else {
    checkFacts(context, leaves, sum, file, count);
    if (statement) checkDraws(context, sum, file, statement);
  }
}

function checkNone(
  { findings }: RoundContext,
  { number, leaf }: Numbered<'opened_sum'>,
  file: RoundFile,
): void {
  findings.require(
    leaf.groups === undefined && file.groups === undefined && file.draws === undefined,
    'GROUPS_MISMATCH',
    `round ${leaf.round} was opened by groups, which the plan does not have there`,
    { leaf: number, round: leaf.round },
  );
}

function checkFacts(
  { findings }: RoundContext,
  leaves: RoundLeaves,
  { number, leaf }: Numbered<'opened_sum'>,
  file: RoundFile,
  count: number,
): void {
  const { round } = leaf;
  const where = { leaf: number, round };
  const require = (condition: boolean, message: string) =>
    findings.require(condition, 'GROUPS_MISMATCH', `round ${round}: ${message}`, where);
  const { groups } = leaf;
  if (!require(groups !== undefined, 'the log does not say into which groups the sum was opened')) return;
  const { sizes, valid } = groups!;
  const same = (a: readonly unknown[], b: readonly unknown[] | undefined) =>
    a.length === b?.length && a.every((value, i) => value === b[i]);
  require(same(sizes, file.groups?.sizes) &&
    same(valid, file.groups?.valid), 'the groups in its file are not those in the log');
  const cohortCount = leaves.round_certificate[0]?.leaf.cohortCount ?? 0;
  require(same(sizes, groupSizesOf(cohortCount, count)) &&
    valid.length === count, `the groups are not ${count} equal parts of ${cohortCount} certified clients`);
  const usable = valid.filter((one) => one).length;
  require(2 * usable > count, `only ${usable} of ${count} groups opened, which is no majority`);
  const { digits } = file.sum!;
  const length = digits.length / count;
  const zeros = valid.every(
    (isValid, i) => isValid || digits.slice(i * length, (i + 1) * length).every((digit) => digit === 0),
  );
  require(Number.isInteger(length) &&
    zeros, 'a group that did not open has digits, or groups differ in length');
}

/** For each k one value, signed over this certificate by two holders that know seed k. */
function checkDraws(
  { parsed, suite, findings }: RoundContext,
  { number, leaf }: Numbered<'opened_sum'>,
  { draws = [] }: RoundFile,
  certificate: Uint8Array,
): void {
  const where = { leaf: number, round: leaf.round };
  const { holders } = parsed.plan;
  /** By k: value to the holders that signed it. */
  const vouchers = holders.map(() => new Map<string, Set<string>>());
  for (const { holderId, values, signature } of draws) {
    const index = holders.findIndex((holder) => holder.id === holderId);
    const key = holders[index]?.signingPublicKey;
    const statement = partitionDrawStatement({ certificate, holderId, values: fromHex(values) });
    const isSigned = key !== undefined && suite.verify(fromHex(key), statement, fromHex(signature));
    findings.require(
      isSigned,
      'DRAWS_MISMATCH',
      `round ${leaf.round} has partition values that ${holderId} did not sign over its certificate`,
      where,
    );
    if (!isSigned) continue;
    // A holder knows the seeds of all numbers but its own.
    const known = vouchers.filter((_, k) => k !== index);
    for (const [i, byValue] of known.entries()) {
      const value = values.slice(i * VALUE_DIGITS, (i + 1) * VALUE_DIGITS);
      byValue.set(value, (byValue.get(value) ?? new Set()).add(holderId));
    }
  }
  const missing = vouchers.flatMap((byValue, k) => {
    const agreed = [...byValue.values()].filter((signers) => signers.size >= VOUCHERS_MIN);
    return agreed.length === 1 ? [] : [k + 1];
  });
  findings.require(
    missing.length === 0,
    'DRAWS_MISMATCH',
    `round ${leaf.round} has no partition value ${missing.join(', ')} that two key holders agree on`,
    where,
  );
}
