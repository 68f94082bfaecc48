/**
 * Times of the coordinator's side, against what the machine does with the same bytes: copy, hash, verify.
 *
 * Everything is measured over more bytes than the last-level cache holds, in one run, as medians over uploads.
 * Trusts: nothing; benchmarks only. May be called by: secagg-bench.ts.
 */
import { createHash } from 'node:crypto';
import { intlSuite } from '../../../crypto/identity/suite-intl.ts';
import type { Secagg } from '../../../crypto/secagg/scheme.ts';
import { CHUNK_BYTES_MAX, parse } from '../../../protos/fields.ts';
import { putUploadRequest } from '../../../protos/rounds-messages.ts';
import { uploadDigestOfParts, uploadStatement } from '../../../protos/statements.ts';
import { serviceDefinition } from '../../../protos/transport/load.ts';
import { putUploadReader } from '../../../protos/transport/put-upload-reader.ts';
import { lastLevelCacheBytes, median } from '../measuring.ts';
import type { PreparedCase } from './cases.ts';
import { bindingOf, type Client, type Upload } from './parties.ts';

export function timesOf(repeats: number, run: (i: number) => void): number[] {
  const times: number[] = [];
  for (let i = 0; i < repeats; i++) {
    const start = performance.now();
    run(i);
    times.push(performance.now() - start);
  }
  return times;
}

const POOL_BYTES_MAX = 400 * 1024 * 1024;
/** A BFV sum takes at most 10,000 uploads. */
const POOL_UPLOADS_MAX = 4000;

/** Copies of the uploads at addresses of their own, more of them than the cache holds. */
export function poolOf(uploads: readonly Upload[], cache: number): Uint8Array[] {
  const each = uploads[0]!.body.length;
  const wanted = Math.min(POOL_BYTES_MAX, 1.25 * cache);
  const count = Math.max(8, Math.min(POOL_UPLOADS_MAX, Math.ceil(wanted / each)));
  return Array.from({ length: count }, (_, i) => uploads[i % uploads.length]!.body.slice());
}

export interface ServerTimes {
  readonly foldMs: number;
  readonly memcpyMs: number;
  readonly sha256Ms: number;
  readonly verifyMs: number;
  readonly serverMs: number;
}

/** Batches, so that one timer reading covers enough work for small uploads. */
const batched = (count: number, batch: number, run: (i: number) => void): number =>
  median(
    timesOf(Math.max(1, Math.floor(count / batch)), (b) => {
      for (let i = b * batch; i < (b + 1) * batch; i++) run(i);
    }),
  ) / batch;

export function measureServer(
  secagg: Secagg,
  one: PreparedCase,
  uploads: readonly Upload[],
  clients: readonly Client[],
  configHash: Uint8Array,
): ServerTimes {
  const pool = poolOf(uploads, lastLevelCacheBytes());
  const copies = pool.map((body) => new Uint8Array(body.length));
  const batch = Math.max(1, Math.min(64, Math.floor(pool.length / 8)));
  const folder = secagg.folder(one.scheme);
  const run = (work: (i: number) => void) => {
    batched(Math.min(pool.length, 4 * batch), batch, work); // warm
    return batched(pool.length, batch, work);
  };
  const memcpyMs = run((i) => copies[i]!.set(pool[i]!));
  const foldMs = run((i) => folder.add(pool[i]!));
  const sha256Ms = run((i) => createHash('sha256').update(pool[i]!).digest());
  const statements = uploads.map(({ deviceId, digest }) =>
    uploadStatement({ ...bindingOf(configHash), deviceId, digest }),
  );
  const verify = (i: number): boolean =>
    intlSuite.verify(
      clients[i % clients.length]!.signing.publicKey,
      statements[i % uploads.length]!,
      uploads[i % uploads.length]!.signature,
    );
  const verifyMs = run((i) => void verify(i));
  copies.length = 0;
  const requests = requestsOf(uploads, pool, configHash);
  const server = secagg.folder(one.scheme);
  const serverMs = run((i) => serve(server, requests[i]!, verify, i));
  return { foldMs, memcpyMs, sha256Ms, verifyMs, serverMs };
}

type Request = { readonly messages: readonly Buffer[]; readonly holderPart: Uint8Array };

/** The messages of an upload as they come off the wire. */
function requestsOf(
  uploads: readonly Upload[],
  pool: readonly Uint8Array[],
  configHash: Uint8Array,
): Request[] {
  const { definition } = serviceDefinition('Rounds');
  const serialize = definition.PutUpload!.requestSerialize as (message: object) => Buffer;
  return pool.map((body, i) => {
    const { digest, signature, holderPart } = uploads[i % uploads.length]!;
    const header = { configHash, digest, signature, bodyBytes: body.length, holderBytes: holderPart.length };
    const bytes = Buffer.concat([body, holderPart]);
    const messages: Buffer[] = [];
    for (let offset = 0; offset < bytes.length; offset += CHUNK_BYTES_MAX)
      messages.push(serialize({ header, offset, data: bytes.subarray(offset, offset + CHUNK_BYTES_MAX) }));
    return { messages, holderPart };
  });
}

const read = putUploadReader();

/**
 * Parse, digest, signature, fold: what the coordinator computes for one upload. As there, chunks are hashed as they
 * come and the fold reads them piece by piece into its own memory (coordinator/rounds/upload-bytes.ts, there from the
 * spool); an upload is never put together.
 */
function serve(
  folder: ReturnType<Secagg['folder']>,
  { messages }: Request,
  verify: (i: number) => boolean,
  i: number,
): void {
  const body = createHash('sha256');
  const holderPart = createHash('sha256');
  const chunks: Uint8Array[] = [];
  let bodyBytes = 0;
  let digest = new Uint8Array();
  for (const message of messages) {
    const { header, offset, data } = parse(putUploadRequest, read(message));
    bodyBytes = header.bodyBytes;
    digest = new Uint8Array(header.digest);
    const ofBody = Math.max(0, Math.min(data.length, bodyBytes - offset));
    body.update(data.subarray(0, ofBody));
    holderPart.update(data.subarray(ofBody));
    chunks.push(data);
  }
  const computed = uploadDigestOfParts(intlSuite, body.digest(), holderPart.digest());
  if (Buffer.compare(computed, digest) !== 0 || !verify(i))
    throw new Error('the benchmark’s own upload is refused');
  folder.addRead((target, at) => copyFrom(chunks, target, at));
}

function copyFrom(chunks: readonly Uint8Array[], target: Uint8Array, at: number): void {
  let from = at;
  for (let filled = 0; filled < target.length; ) {
    const chunk = chunks[Math.floor(from / CHUNK_BYTES_MAX)]!;
    const start = from % CHUNK_BYTES_MAX;
    const piece = chunk.subarray(start, start + target.length - filled);
    target.set(piece, filled);
    filled += piece.length;
    from += piece.length;
  }
}
