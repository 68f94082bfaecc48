/**
 * The tables of uploads: rows, where their chunks stand in the spool, the signed entries that holders get. Split from
 * repository.ts by idea. The bytes themselves are in the spool (storage/spool.ts, upload-bytes.ts).
 *
 * Trusts: its own database. May be called by: coordinator/rounds through repository.ts.
 */
import { fromHex } from '../../crypto/bytes.ts';
import type { RoundBinding } from '../../protos/statements.ts';
import type { SpoolPlace } from '../storage/spool.ts';
import type { Database } from '../storage/store.ts';

export interface UploadRow {
  readonly device: string;
  readonly digest: string;
  readonly signature: Uint8Array;
  readonly certificate: Uint8Array;
  readonly body_bytes: number;
  readonly holder_bytes: number;
  readonly received_bytes: number;
  readonly acknowledged: number;
  /** H(body) in hexadecimal, once acknowledged. */
  readonly body_digest: string;
}

/** Bytes `offset` … `offset + length` of an upload, and where they stand. */
export interface ChunkRow extends SpoolPlace {
  readonly offset: number;
}

export const getUpload = (db: Database, plan: string, round: number, device: string): UploadRow | undefined =>
  db.get<UploadRow>('SELECT * FROM uploads WHERE plan = ? AND round = ? AND device = ?', plan, round, device);

/** The rows of those of `devices` that have one, complete or not. */
export const uploadsAmong = (
  db: Database,
  plan: string,
  round: number,
  devices: readonly string[],
): Pick<UploadRow, 'device' | 'digest' | 'acknowledged'>[] =>
  db.all<Pick<UploadRow, 'device' | 'digest' | 'acknowledged'>>(
    `SELECT u.device, u.digest, u.acknowledged FROM json_each(?3) j
     CROSS JOIN uploads u ON u.plan = ?1 AND u.round = ?2 AND u.device = j.value`,
    plan,
    round,
    JSON.stringify(devices),
  );

export function insertUpload(db: Database, plan: string, round: number, row: UploadRow): void {
  db.run(
    `INSERT INTO uploads (plan, round, device, digest, signature, certificate, body_bytes, holder_bytes, received_bytes, acknowledged, body_digest)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    plan,
    round,
    row.device,
    row.digest,
    row.signature,
    row.certificate,
    row.body_bytes,
    row.holder_bytes,
    row.received_bytes,
    row.acknowledged,
    row.body_digest,
  );
}

export function insertChunk(
  db: Database,
  plan: string,
  round: number,
  device: string,
  chunk: ChunkRow,
): void {
  db.run(
    'INSERT INTO upload_chunks (plan, round, device, offset, segment, position, length) VALUES (?, ?, ?, ?, ?, ?, ?)',
    plan,
    round,
    device,
    chunk.offset,
    chunk.segment,
    chunk.position,
    chunk.length,
  );
}

/** A whole upload of one piece without statement: what simulations acknowledge by the thousand. */
export interface PlainUploadRow {
  readonly device: string;
  /** Hexadecimal, 64 digits each. */
  readonly digest: string;
  readonly bodyDigest: string;
  readonly position: number;
}

/** Rows and places of many plain uploads whose bytes stand in one segment; all have the same sizes. */
export function insertPlainUploads(
  db: Database,
  plan: string,
  round: number,
  uploads: readonly PlainUploadRow[],
  at: { readonly segment: number; readonly bodyBytes: number; readonly holderBytes: number },
): void {
  const { segment, bodyBytes, holderBytes } = at;
  const list = (textOf: (row: PlainUploadRow) => string) =>
    `{${uploads.map((row) => `${JSON.stringify(row.device)}:${textOf(row)}`).join()}}`;
  db.run(
    `INSERT INTO uploads (plan, round, device, digest, signature, certificate, body_bytes, holder_bytes, received_bytes, acknowledged, body_digest)
     SELECT ?1, ?2, key, substr(value, 1, 64), x'', x'', ?3, ?4, ?5, 1, substr(value, 65) FROM json_each(?6)`,
    plan,
    round,
    bodyBytes,
    holderBytes,
    bodyBytes + holderBytes,
    list(({ digest, bodyDigest }) => JSON.stringify(digest + bodyDigest)),
  );
  db.run(
    `INSERT INTO upload_chunks (plan, round, device, offset, segment, position, length)
     SELECT ?1, ?2, key, 0, ?3, value, ?4 FROM json_each(?5)`,
    plan,
    round,
    segment,
    bodyBytes + holderBytes,
    list(({ position }) => String(position)),
  );
}

/** `bodyDigest`, in hexadecimal, completes the upload; null: there is more to come. */
export function updateReceived(
  db: Database,
  plan: string,
  round: number,
  device: string,
  progress: { receivedBytes: number; bodyDigest: string | null },
): void {
  db.run(
    'UPDATE uploads SET received_bytes = ?, acknowledged = ?, body_digest = ? WHERE plan = ? AND round = ? AND device = ?',
    progress.receivedBytes,
    progress.bodyDigest === null ? 0 : 1,
    progress.bodyDigest ?? '',
    plan,
    round,
    device,
  );
}

/** Forgets an upload that turned out not to match its own digest, so that the device can send it again. */
export function dropUpload(db: Database, plan: string, round: number, device: string): void {
  db.run('DELETE FROM upload_chunks WHERE plan = ? AND round = ? AND device = ?', plan, round, device);
  db.run(
    'DELETE FROM uploads WHERE plan = ? AND round = ? AND device = ? AND acknowledged = 0',
    plan,
    round,
    device,
  );
}

/** In the order of their bytes. */
export const chunksOf = (db: Database, plan: string, round: number, device: string): ChunkRow[] =>
  db.all<ChunkRow>(
    `SELECT offset, segment, position, length FROM upload_chunks
     WHERE plan = ? AND round = ? AND device = ? ORDER BY offset`,
    plan,
    round,
    device,
  );

export interface DeviceChunks {
  readonly device: string;
  readonly bodyBytes: number;
  readonly holderBytes: number;
  readonly chunks: readonly ChunkRow[];
}

/** The chunks of several acknowledged uploads, by device id; those without any byte of the wanted part are left out. */
export function chunksOfDevices(
  db: Database,
  plan: string,
  round: number,
  devices: readonly string[],
  part: 'body' | 'holder',
): DeviceChunks[] {
  const overlaps = part === 'body' ? 'c.offset < u.body_bytes' : 'c.offset + c.length > u.body_bytes';
  const rows = db.all<ChunkRow & { device: string; body_bytes: number; holder_bytes: number }>(
    `SELECT u.device, u.body_bytes, u.holder_bytes, c.offset, c.segment, c.position, c.length
     FROM uploads u JOIN upload_chunks c ON c.plan = u.plan AND c.round = u.round AND c.device = u.device
     WHERE u.plan = ? AND u.round = ? AND u.device IN (SELECT value FROM json_each(?)) AND u.acknowledged = 1
       AND ${overlaps} ORDER BY u.device, c.offset`,
    plan,
    round,
    JSON.stringify(devices),
  );
  const found: (DeviceChunks & { chunks: ChunkRow[] })[] = [];
  for (const { device, body_bytes: bodyBytes, holder_bytes: holderBytes, ...chunk } of rows) {
    const last = found.at(-1);
    if (last?.device === device) last.chunks.push(chunk);
    else found.push({ device, bodyBytes, holderBytes, chunks: [chunk] });
  }
  return found;
}

export const acknowledgedDevices = (db: Database, plan: string, round: number): string[] =>
  db
    .all<{ device: string }>(
      'SELECT device FROM uploads WHERE plan = ? AND round = ? AND acknowledged = 1 ORDER BY device',
      plan,
      round,
    )
    .map((row) => row.device);

/** A signed upload without its holder part. */
export interface SignedEntry extends RoundBinding {
  readonly deviceId: string;
  readonly certificate: Uint8Array;
  readonly digest: Uint8Array;
  readonly signature: Uint8Array;
}

/** The signed entries of acknowledged uploads among `devices`, by device id. */
export function entriesOf(
  db: Database,
  plan: string,
  binding: RoundBinding,
  devices: readonly string[],
): SignedEntry[] {
  return db
    .all<Pick<UploadRow, 'device' | 'digest' | 'signature' | 'certificate'>>(
      `SELECT device, digest, signature, certificate FROM uploads
       WHERE plan = ? AND round = ? AND device IN (SELECT value FROM json_each(?)) AND acknowledged = 1
       ORDER BY device`,
      plan,
      binding.round,
      JSON.stringify(devices),
    )
    .map(({ device, digest, signature, certificate }) => ({
      deviceId: device,
      ...binding,
      certificate,
      digest: fromHex(digest),
      signature,
    }));
}

/** H(body) of acknowledged uploads among `devices`. */
export const bodyDigestsOf = (
  db: Database,
  plan: string,
  round: number,
  devices: readonly string[],
): Map<string, Uint8Array> =>
  new Map(
    db
      .all<{ device: string; body_digest: string }>(
        `SELECT device, body_digest FROM uploads
         WHERE plan = ? AND round = ? AND device IN (SELECT value FROM json_each(?)) AND acknowledged = 1`,
        plan,
        round,
        JSON.stringify(devices),
      )
      .map(({ device, body_digest }) => [device, fromHex(body_digest)]),
  );
