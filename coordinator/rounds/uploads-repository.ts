/**
 * The tables of uploads: rows, where their chunks stand in the spool, the signed entries that holders get. Split from
 * repository.ts by idea. The bytes themselves are in the spool (storage/spool.ts, upload-bytes.ts).
 *
 * Trusts: its own database. May be called by: coordinator/rounds through repository.ts.
 */
import { fromHex } from '../../crypto/bytes.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import type { RoundBinding } from '../../protos/statements.ts';
import { scopesOfPlan } from '../../protos/withdrawal.ts';
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

/** Whole uploads of one piece without statements: what simulations acknowledge by the thousand. */
export interface PlainUploads {
  readonly deviceIds: readonly string[];
  /** 32 bytes each. */
  readonly digests: Uint8Array;
  readonly bodyDigests: Uint8Array;
  /** All of them; they have the same sizes. */
  readonly place: SpoolPlace;
  readonly bodyBytes: number;
  readonly holderBytes: number;
}

/**
 * Rows and places of those whose devices are invited, have not withdrawn and have no row yet; returns how many.
 * In one statement each: an upload that must not be taken leaves no row.
 */
export function insertPlainUploads(
  db: Database,
  parsed: ParsedPlan,
  round: number,
  { deviceIds, digests, bodyDigests, place, bodyBytes, holderBytes }: PlainUploads,
): number {
  const list = JSON.stringify(deviceIds);
  const { changes } = db.run(
    `INSERT INTO uploads (plan, round, device, digest, signature, certificate, body_bytes, holder_bytes, received_bytes, acknowledged, body_digest)
     SELECT ?1, ?2, j.value, lower(hex(substr(?3, 32 * j.key + 1, 32))), x'', x'', ?5, ?6, ?5 + ?6, 1,
       lower(hex(substr(?4, 32 * j.key + 1, 32)))
     FROM json_each(?7) j CROSS JOIN invitations i ON i.plan = ?1 AND i.round = ?2 AND i.device = j.value
     WHERE NOT EXISTS (SELECT 1 FROM withdrawals w WHERE w.device = j.value
       AND w.scope IN (SELECT value FROM json_each(?8)))
     ON CONFLICT DO NOTHING`,
    parsed.hashHex,
    round,
    digests,
    bodyDigests,
    bodyBytes,
    holderBytes,
    list,
    JSON.stringify(scopesOfPlan(parsed)),
  );
  const isAll = changes === deviceIds.length;
  const mine = `WHERE EXISTS (SELECT 1 FROM uploads u WHERE u.plan = ?1 AND u.round = ?2 AND u.device = j.value
       AND u.digest = lower(hex(substr(?7, 32 * j.key + 1, 32))))`;
  db.run(
    `INSERT INTO upload_chunks (plan, round, device, offset, segment, position, length)
     SELECT ?1, ?2, j.value, 0, ?3, ?4 + ?5 * j.key, ?5 FROM json_each(?6) j
     ${isAll ? '' : `${mine} ON CONFLICT DO NOTHING`}`,
    parsed.hashHex,
    round,
    place.segment,
    place.position,
    bodyBytes + holderBytes,
    list,
    ...(isAll ? [] : [digests]),
  );
  return changes;
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

/** By device id. `known`: some of them, without repeats; where they are as many as all, they are all. */
export function acknowledgedDevices(
  db: Database,
  plan: string,
  round: number,
  known: readonly string[] = [],
): string[] {
  const where = 'FROM uploads WHERE plan = ? AND round = ? AND acknowledged = 1';
  const { count } = db.get<{ count: number }>(`SELECT COUNT(*) AS count ${where}`, plan, round)!;
  if (count === known.length) return [...known].sort();
  return db
    .all<{ device: string }>(`SELECT device ${where} ORDER BY device`, plan, round)
    .map((row) => row.device);
}

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
