/**
 * An opening under transport `shares`: the expansions of the seeds of exactly the certified devices, summed.
 *
 * For: opening.ts only. Trusts: a checked header and the seeds that this holder accepted. Parts only name devices; of one
 * that it did not accept, the holder checks the entry and its holder part first. The answer depends on the certificate
 * alone. Memory: one sum, one leaf per device.
 */
import { ensure } from '../crypto/error.ts';
import { SeedSum } from '../crypto/secagg/shares/index.ts';
import { parse } from '../protos/fields.ts';
import { openDeviceSchema } from '../protos/keyholder-messages.ts';
import { cohortRootOf } from './certification.ts';
import type { HolderContext } from './context.ts';
import { certifiedEntry, type Opening, type Parts } from './opening-parts.ts';
import type { AcceptedEntry } from './store.ts';

/** Devices between two turns of the event loop: an expansion takes some tens of microseconds. */
const DEVICES_PER_TURN = 64;

/** The sums of this holder's three seed expansions over the cohort. */
export async function sumSeeds(context: HolderContext, opening: Opening, parts: Parts): Promise<Uint8Array> {
  const { identity, rules } = context;
  const { check, header, sum } = opening;
  const { seeds } = check;
  ensure(seeds, 'INTERNAL', 'no round secret under transport shares');
  const seedSum = new SeedSum(sum.shortCount, sum.wordBits, identity.suite, header.configHash);
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
    ensure(entry.sealedSeeds, 'KEY_ERASED', 'the seeds of this round were erased: start another round');
    const held = seeds.reveal(deviceId, entry.sealedSeeds);
    seedSum.add(deviceId, held);
    held.fill(0);
    cohort.push(entry);
    if (cohort.length % DEVICES_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const complete = cohort.length === header.cohortCount;
  ensure(complete, 'CERTIFICATE_INVALID', `${cohort.length} devices for a cohort of ${header.cohortCount}`);
  rules.cohortRoot(cohortRootOf(cohort), header.cohortRoot);
  return seedSum.bytes();
}
