/**
 * The tables of uploads: rows, chunks, the signed entries that holders get. Split from repository.ts by idea.
 *
 * Trusts: its own database. May be called by: coordinator/rounds through repository.ts.
 */
import type { Database } from '../storage/store.ts';
import type { Entry } from './holder-port.ts';
import type { RoundRow } from './repository.ts';

export interface UploadRow {
  readonly device: string;
  readonly digest: string;
  readonly signature: Uint8Array;
  readonly certificate: Uint8Array;
  readonly c0_bytes: number;
  readonly c1_bytes: number;
  readonly received_bytes: number;
  readonly acknowledged: number;
}

export const getUpload = (db: Database, plan: string, round: number, device: string): UploadRow | undefined =>
  db.get<UploadRow>('SELECT * FROM uploads WHERE plan = ? AND round = ? AND device = ?', plan, round, device);

export function insertUpload(db: Database, plan: string, round: number, row: UploadRow): void {
  db.run(
    `INSERT INTO uploads (plan, round, device, digest, signature, certificate, c0_bytes, c1_bytes, received_bytes, acknowledged)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    plan,
    round,
    row.device,
    row.digest,
    row.signature,
    row.certificate,
    row.c0_bytes,
    row.c1_bytes,
    row.received_bytes,
    row.acknowledged,
  );
}

export function appendChunk(
  db: Database,
  plan: string,
  round: number,
  device: string,
  chunk: { offset: number; data: Uint8Array; complete: boolean },
): void {
  db.run(
    'INSERT INTO upload_chunks (plan, round, device, offset, data) VALUES (?, ?, ?, ?, ?)',
    plan,
    round,
    device,
    chunk.offset,
    chunk.data,
  );
  db.run(
    'UPDATE uploads SET received_bytes = ?, acknowledged = ? WHERE plan = ? AND round = ? AND device = ?',
    chunk.offset + chunk.data.length,
    chunk.complete ? 1 : 0,
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

/** The received bytes of an upload, c0 then c1. */
export function uploadBytes(db: Database, plan: string, round: number, device: string): Uint8Array {
  const chunks = db.all<{ data: Uint8Array }>(
    'SELECT data FROM upload_chunks WHERE plan = ? AND round = ? AND device = ? ORDER BY offset',
    plan,
    round,
    device,
  );
  return chunks.length === 1
    ? chunks[0]!.data
    : new Uint8Array(Buffer.concat(chunks.map((chunk) => chunk.data)));
}

/** Ciphertexts of a finished round; the signed entries stay. */
export function dropCiphertexts(db: Database, plan: string, round: number): void {
  db.run('DELETE FROM upload_chunks WHERE plan = ? AND round = ?', plan, round);
}

/** A complete upload, split into its two ciphertext parts. */
export function uploadParts(
  db: Database,
  plan: string,
  round: number,
  device: string,
): { c0: Uint8Array; c1: Uint8Array } {
  const row = getUpload(db, plan, round, device)!;
  const bytes = uploadBytes(db, plan, round, device);
  return { c0: bytes.subarray(0, row.c0_bytes), c1: bytes.subarray(row.c0_bytes) };
}

export const acknowledgedDevices = (db: Database, plan: string, round: number): string[] =>
  db
    .all<{ device: string }>(
      'SELECT device FROM uploads WHERE plan = ? AND round = ? AND acknowledged = 1 ORDER BY device',
      plan,
      round,
    )
    .map((row) => row.device);

/** The signed entries of acknowledged uploads among `devices`, as the holders get them, by device id. */
export function entriesOf(
  db: Database,
  plan: string,
  row: RoundRow,
  devices: ReadonlySet<string>,
): (Entry & { deviceId: string })[] {
  const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'));
  const binding = {
    planHash: bytes(plan),
    round: row.round,
    modelHash: bytes(row.model_hash),
    configHash: bytes(row.config_hash),
    committeeKeyId: bytes(row.committee_key_id),
  };
  return db
    .all<UploadRow>(
      'SELECT * FROM uploads WHERE plan = ? AND round = ? AND acknowledged = 1 ORDER BY device',
      plan,
      row.round,
    )
    .filter((upload) => devices.has(upload.device))
    .map((upload) => ({
      deviceId: upload.device,
      ...binding,
      certificate: upload.certificate,
      digest: bytes(upload.digest),
      signature: upload.signature,
    }));
}
