/**
 * An opening under transport `shares`: the expansions of the seeds of exactly the certified devices, summed; in one sum,
 * or in one per group of a partition that is drawn from the same seeds.
 *
 * For: opening.ts only. Trusts: a checked header and the seeds that this holder accepted. Parts only name devices; of one
 * that it did not accept, the holder checks the entry and its holder part first. The answer depends on the certificate
 * alone: the partition does, too (crypto/secagg/shares/partition.ts). Memory: one sum and the answer, one entry per device.
 */
import { concat } from '../crypto/bytes.ts';
import { ensure } from '../crypto/error.ts';
import {
  type DrawAnswer,
  PartitionDraw,
  partitionOf,
  partitionSeed,
  SeedSum,
} from '../crypto/secagg/shares/index.ts';
import { parse } from '../protos/fields.ts';
import { openDeviceSchema } from '../protos/keyholder-messages.ts';
import { cohortRootOf } from './certification.ts';
import type { HolderContext } from './context.ts';
import { certifiedEntry, type Opening, type Parts } from './opening-parts.ts';
import type { AcceptedEntry } from './store.ts';

/** Devices between two turns of the event loop: an expansion takes some tens of microseconds. */
const DEVICES_PER_TURN = 64;

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const seedSumOf = ({ identity }: HolderContext, { header, sum }: Opening): SeedSum =>
  new SeedSum(sum.shortCount, sum.wordBits, identity.suite, header.configHash, sum.groups);

/** This device's three seeds go to `use`, and are wiped after it. */
function withSeeds({ check }: Opening, entry: AcceptedEntry, use: (seeds: Uint8Array) => void): void {
  const { seeds } = check;
  ensure(seeds, 'INTERNAL', 'no round secret under transport shares');
  ensure(entry.sealedSeeds, 'KEY_ERASED', 'the seeds of this round were erased: start another round');
  const held = seeds.reveal(entry.deviceId, entry.sealedSeeds);
  try {
    use(held);
  } finally {
    held.fill(0);
  }
}

/**
 * The certified cohort, by ascending id, each device with its seeds to `visit`. What `visit` made is worth something only
 * once this returns: the cohort is known to be the certified one at its end.
 */
async function readCohort(
  context: HolderContext,
  opening: Opening,
  parts: Parts,
  visit: (deviceId: string, seeds: Uint8Array) => void,
): Promise<AcceptedEntry[]> {
  const { rules } = context;
  const { header } = opening;
  const cohort: AcceptedEntry[] = [];
  for await (const value of parts) {
    const part = parse(openDeviceSchema, value);
    const { deviceId } = part;
    rules.ascending(cohort.at(-1)?.deviceId, deviceId);
    ensure(
      cohort.length < header.cohortCount,
      'CERTIFICATE_INVALID',
      'more devices than the certificate counts',
    );
    const entry = certifiedEntry(context, opening, part);
    rules.oneBinding([entry], header);
    withSeeds(opening, entry, (seeds) => visit(deviceId, seeds));
    cohort.push(entry);
    if (cohort.length % DEVICES_PER_TURN === 0) await nextTurn();
  }
  const complete = cohort.length === header.cohortCount;
  ensure(complete, 'CERTIFICATE_INVALID', `${cohort.length} devices for a cohort of ${header.cohortCount}`);
  rules.cohortRoot(cohortRootOf(cohort), header.cohortRoot);
  return cohort;
}

/** The sums of this holder's three seed expansions over the cohort. */
export async function sumSeeds(context: HolderContext, opening: Opening, parts: Parts): Promise<Uint8Array> {
  const seedSum = seedSumOf(context, opening);
  await readCohort(context, opening, parts, (deviceId, seeds) => seedSum.add(deviceId, seeds));
  return seedSum.bytes();
}

/** This holder's three P_k over the certified cohort. */
export async function drawPartition(
  context: HolderContext,
  opening: Opening,
  parts: Parts,
): Promise<{ readonly cohort: readonly AcceptedEntry[]; readonly own: DrawAnswer }> {
  const draw = new PartitionDraw(context.identity.suite, opening.header.configHash);
  const cohort = await readCohort(context, opening, parts, (deviceId, seeds) => draw.add(deviceId, seeds));
  return { cohort, own: { holderIndex: opening.check.registered.ownIndex, values: draw.values() } };
}

/** One `sumSeeds` per group, one after the other. Throws SHARE_INCONSISTENT where the partition is not agreed on. */
export async function sumGroups(context: HolderContext, opening: Opening, parts: Parts): Promise<Uint8Array> {
  const { identity, rules } = context;
  const { check, header, statement, sum } = opening;
  const { cohort, own } = await drawPartition(context, opening, parts);
  const draws = rules.partitionDraws(check.registered.parsed.plan, statement, own, header.draws);
  const entries = new Map(cohort.map((entry) => [entry.deviceId, entry]));
  const seed = partitionSeed(identity.suite, statement, draws);
  const answers: Uint8Array[] = [];
  let summed = 0;
  for (const group of partitionOf(identity.suite, seed, [...entries.keys()], sum.groups)) {
    const seedSum = seedSumOf(context, opening);
    for (const deviceId of group) {
      withSeeds(opening, entries.get(deviceId)!, (seeds) => seedSum.add(deviceId, seeds));
      if (++summed % DEVICES_PER_TURN === 0) await nextTurn();
    }
    answers.push(seedSum.bytes());
  }
  return concat(...answers);
}
