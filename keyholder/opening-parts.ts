/**
 * What an opening consists of: its checked header, its parts as they arrive, and whose entry a part is about.
 *
 * For: opening.ts, opening-bfv.ts, opening-shares.ts. Trusts: this holder's own store; parts are hostile. May be called
 * by: those.
 */
import { ensure } from '../crypto/error.ts';
import { parse } from '../protos/fields.ts';
import { type OpenHeader, type OpenPart, openPartsSchema } from '../protos/keyholder-messages.ts';
import { checkEntry, type EntryCheck, requireNoConflict } from './acceptance.ts';
import type { HolderContext } from './context.ts';
import type { AcceptedEntry, RoundRef } from './store.ts';
import type { HolderSum } from './sums.ts';

/** A header that was checked in full. */
export interface Opening {
  readonly at: RoundRef;
  readonly header: OpenHeader;
  /** Of the certificate in the header. */
  readonly statement: Uint8Array;
  readonly sum: HolderSum;
  readonly check: EntryCheck;
}

/** Unparsed parts, one after the other, whether they came alone or several in a message. */
export type Parts = AsyncGenerator<unknown, void>;

export async function* readParts(messages: AsyncIterator<unknown>, signal?: AbortSignal): Parts {
  for (let next = await messages.next(); !next.done; next = await messages.next()) {
    signal?.throwIfAborted();
    const { part, parts } = (next.value ?? {}) as { part?: unknown; parts?: unknown };
    if (parts) {
      yield* parse(openPartsSchema, parts).parts;
    } else {
      ensure(part, 'MALFORMED_MESSAGE', 'expected a part after the header');
      yield part;
    }
  }
}

/** The entry that this holder accepted; or, when it was away, the one sent along, checked in full. */
export function certifiedEntry(
  context: HolderContext,
  opening: Opening,
  part: Pick<OpenPart, 'deviceId'> & { readonly entry?: unknown },
): AcceptedEntry {
  const stored = context.store.entries.get(opening.at, part.deviceId);
  if (stored) return stored;
  const checked = checkEntry(part.entry, opening.check);
  const same = checked.entry.deviceId === part.deviceId;
  ensure(same, 'CERTIFICATE_INVALID', `the entry sent for device ${part.deviceId} belongs to another device`);
  requireNoConflict(context, opening.at, checked);
  return checked.entry;
}
