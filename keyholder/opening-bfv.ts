/**
 * An opening under transport `bfv`: every certified c1 is received, re-hashed against the signed digest and added here.
 *
 * For: opening.ts only. Trusts: a checked header; parts are hostile. Memory: one upload, one sum, one leaf per device.
 */
import { ensure } from '../crypto/error.ts';
import { bytesOf, parse } from '../protos/fields.ts';
import { type OpenPart, openPartSchema } from '../protos/keyholder-messages.ts';
import { uploadDigestOfParts } from '../protos/statements.ts';
import { cohortRootOf } from './certification.ts';
import type { HolderContext } from './context.ts';
import { certifiedEntry, type Opening, type Parts } from './opening-parts.ts';
import type { AcceptedEntry } from './store.ts';

/** Puts the chunks of one device after the other together; never holds more than one upload. */
class UploadAssembler {
  readonly #buffer: Uint8Array;
  #first: OpenPart | undefined;
  #filled = 0;

  constructor(holderBytes: number) {
    this.#buffer = new Uint8Array(holderBytes);
  }

  get isBetweenUploads(): boolean {
    return this.#first === undefined;
  }

  /** The first chunk and the whole c1 once complete; the bytes are valid until the next call. */
  push(part: OpenPart): { readonly first: OpenPart; readonly c1: Uint8Array } | undefined {
    this.#first ??= part;
    const { deviceId } = this.#first;
    ensure(
      part.deviceId === deviceId,
      'UPLOAD_OFFSET_MISMATCH',
      `the ciphertext of device ${deviceId} is cut short`,
    );
    const fits = part.offset === this.#filled;
    ensure(
      fits,
      'UPLOAD_OFFSET_MISMATCH',
      `device ${deviceId}: expected offset ${this.#filled}, got ${part.offset}`,
    );
    ensure(part.holderPart.length > 0, 'FIELD_OUT_OF_RANGE', `device ${deviceId}: an empty chunk`);
    const length = this.#buffer.length;
    ensure(
      part.offset + part.holderPart.length <= length,
      'WRONG_CIPHERTEXT_PARAMETERS',
      `the ciphertext of device ${deviceId} is longer than the ${length} bytes that the plan implies`,
    );
    this.#buffer.set(part.holderPart, part.offset);
    this.#filled += part.holderPart.length;
    if (this.#filled < length) return undefined;
    const first = this.#first;
    this.#first = undefined;
    this.#filled = 0;
    return { first, c1: this.#buffer };
  }
}

const bodyDigestSchema = bytesOf(32);

/** Adds every certified c1 and returns their sum. */
export async function addCiphertexts(
  context: HolderContext,
  opening: Opening,
  parts: Parts,
): Promise<Uint8Array> {
  const { bfv, identity, rules } = context;
  const { header, sum } = opening;
  const c1Sum = bfv.accumulator('c1', sum.shortCount);
  const assembler = new UploadAssembler(bfv.ciphertextBytes(sum.shortCount).c1);
  const cohort = new Map<string, AcceptedEntry>();
  for await (const part of parts) {
    const upload = assembler.push(parse(openPartSchema, part));
    if (!upload) continue;
    const { deviceId } = upload.first;
    ensure(!cohort.has(deviceId), 'CERTIFICATE_INVALID', `device ${deviceId} was sent twice`);
    ensure(
      cohort.size < header.cohortCount,
      'CERTIFICATE_INVALID',
      'more ciphertexts than the certificate counts',
    );
    const entry = certifiedEntry(context, opening, upload.first);
    rules.oneBinding([entry], header);
    const bodyDigest = parse(bodyDigestSchema, upload.first.bodyDigest);
    const digest = uploadDigestOfParts(identity.suite, bodyDigest, identity.suite.digest(upload.c1));
    rules.uploadDigest(entry.digest, digest, deviceId);
    c1Sum.add(upload.c1);
    cohort.set(deviceId, entry);
  }
  ensure(assembler.isBetweenUploads, 'CERTIFICATE_INVALID', 'the last ciphertext is cut short');
  const complete = cohort.size === header.cohortCount;
  ensure(complete, 'CERTIFICATE_INVALID', `${cohort.size} ciphertexts for a cohort of ${header.cohortCount}`);
  rules.cohortRoot(cohortRootOf([...cohort.values()]), header.cohortRoot);
  return c1Sum.bytes();
}
