/**
 * What the registrar remembers: token hashes, issued certificates, revocations. node:sqlite, one file, WAL.
 *
 * For: registrar/ only. Trusts: the file. Several processes may have it open (the server, `mint`, `revoke`): every
 * change is one immediate transaction. Holds no secret: tokens only as hashes, no keys.
 */
import { createHash } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { equalBytes } from '../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../crypto/error.ts';
import { type EnrolledRole, isEnrolledRole, type Role } from '../crypto/identity/certificate.ts';

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS tokens (
    hash BLOB PRIMARY KEY, role TEXT NOT NULL, hosts TEXT NOT NULL, created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, used_at INTEGER, request_digest BLOB, serial TEXT
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS certificates (
    serial TEXT PRIMARY KEY, subject_id TEXT NOT NULL, role TEXT NOT NULL, hosts TEXT NOT NULL, der BLOB NOT NULL,
    issued_at INTEGER NOT NULL, not_after INTEGER NOT NULL, revoked_at INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS certificates_by_subject ON certificates (subject_id);
  CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  INSERT OR IGNORE INTO counters VALUES ('revocation_number', 0);
`;

export interface TokenRecord {
  readonly role: EnrolledRole;
  readonly hosts: readonly string[];
}

export interface IssuedCertificate {
  readonly serial: string;
  readonly subjectId: string;
  readonly role: Role;
  readonly hosts: readonly string[];
  readonly der: Uint8Array;
  readonly issuedAtMs: number;
  readonly notAfterMs: number;
}

type Row = Record<string, unknown>;

/** One-way: recognises a key that comes back, names nobody who does not. */
const forgottenName = (subjectId: string): string =>
  createHash('sha256').update(`pulsefold/v1/forgotten/${subjectId}`).digest('hex').slice(0, 32);

export class RegistrarStore {
  readonly #database: DatabaseSync;

  /** Opens or creates the file. */
  constructor(path: string) {
    this.#database = new DatabaseSync(path);
    this.#database.exec('PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
    // What `forget` erases must not live on in free pages.
    this.#database.exec('PRAGMA secure_delete = ON');
    this.#database.exec(SCHEMA);
  }

  close(): void {
    this.#database.close();
  }

  /** Runs `body` alone: other writers wait, a throw undoes everything. */
  #transaction<Result>(body: () => Result): Result {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      const result = body();
      this.#database.exec('COMMIT');
      return result;
    } catch (error) {
      this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  addToken(hash: Uint8Array, record: TokenRecord, createdAtMs: number, expiresAtMs: number): void {
    this.#database
      .prepare('INSERT INTO tokens (hash, role, hosts, created_at, expires_at) VALUES (?, ?, ?, ?, ?)')
      .run(hash, record.role, JSON.stringify(record.hosts), createdAtMs, expiresAtMs);
  }

  /**
   * The token's record, or the certificate that this very request already got. Throws TOKEN_INVALID (unknown, expired
   * or for another role: one answer, so that a guess learns nothing) or TOKEN_USED.
   */
  checkToken(
    hash: Uint8Array,
    role: EnrolledRole,
    requestDigest: Uint8Array,
    nowMs: number,
  ): { readonly token: TokenRecord } | { readonly issued: Uint8Array } {
    const row = this.#database.prepare('SELECT * FROM tokens WHERE hash = ?').get(hash) as Row | undefined;
    const usable = row && row.role === role && (row.used_at !== null || nowMs <= Number(row.expires_at));
    ensure(
      usable,
      'TOKEN_INVALID',
      'unknown or expired token, or a token for another role: ask for a new one',
    );
    if (row.used_at !== null) {
      const same = equalBytes(new Uint8Array(row.request_digest as Uint8Array), requestDigest);
      ensure(same, 'TOKEN_USED', 'this token was used with other keys: ask for a new one');
      return { issued: this.#certificate(String(row.serial)) };
    }
    ensure(isEnrolledRole(row.role), 'INTERNAL', 'token store is damaged');
    return { token: { role: row.role, hosts: JSON.parse(String(row.hosts)) as string[] } };
  }

  #certificate(serial: string): Uint8Array {
    const row = this.#database.prepare('SELECT der FROM certificates WHERE serial = ?').get(serial) as
      | Row
      | undefined;
    ensure(row, 'INTERNAL', 'a used token without its certificate');
    return new Uint8Array(row.der as Uint8Array);
  }

  /**
   * Uses up the token and records the certificate, or returns the one that a concurrent copy of this request got.
   * Throws as `checkToken`. Only what this returns may leave the process.
   */
  redeemToken(
    hash: Uint8Array,
    requestDigest: Uint8Array,
    certificate: IssuedCertificate,
    nowMs: number,
    role: EnrolledRole,
  ): Uint8Array {
    return this.#transaction(() => {
      const state = this.checkToken(hash, role, requestDigest, nowMs);
      if ('issued' in state) return state.issued;
      this.#ensureNotRevoked(certificate.subjectId);
      this.#insert(certificate);
      const { changes } = this.#database
        .prepare(
          'UPDATE tokens SET used_at = ?, request_digest = ?, serial = ? WHERE hash = ? AND used_at IS NULL',
        )
        .run(nowMs, requestDigest, certificate.serial, hash);
      ensure(Number(changes) === 1, 'TOKEN_USED', 'this token was used already: ask for a new one');
      return certificate.der;
    });
  }

  /** Records a certificate that needed no token (renewal, the registrar's own). Throws CERTIFICATE_REVOKED. */
  addCertificate(certificate: IssuedCertificate): void {
    this.#transaction(() => {
      this.#ensureNotRevoked(certificate.subjectId);
      this.#insert(certificate);
    });
  }

  #insert(certificate: IssuedCertificate): void {
    const { serial, subjectId, role, hosts, der, issuedAtMs, notAfterMs } = certificate;
    this.#database
      .prepare('INSERT INTO certificates VALUES (?, ?, ?, ?, ?, ?, ?, NULL)')
      .run(serial, subjectId, role, JSON.stringify(hosts), der, issuedAtMs, notAfterMs);
  }

  /** A revoked key stays revoked: a new token does not bring it back, also after it was forgotten. */
  #ensureNotRevoked(subjectId: string): void {
    const revoked = this.#database
      .prepare('SELECT 1 FROM certificates WHERE subject_id IN (?, ?) AND revoked_at IS NOT NULL')
      .get(subjectId, forgottenName(subjectId));
    if (revoked) {
      throw new PulsefoldError('CERTIFICATE_REVOKED', 'this signing key was revoked: enrol with new keys');
    }
  }

  /** Hosts that a server's token allowed. Throws NOT_FOUND. */
  hostsOf(serial: string): string[] {
    const row = this.#database.prepare('SELECT hosts FROM certificates WHERE serial = ?').get(serial) as
      | Row
      | undefined;
    ensure(row, 'NOT_FOUND', 'no certificate with this serial number');
    return JSON.parse(String(row.hosts)) as string[];
  }

  /** Revokes the certificate and every other one for the same signing key. Throws NOT_FOUND. Returns the serials. */
  revoke(serial: string, nowMs: number): string[] {
    return this.#transaction(() => {
      const row = this.#database
        .prepare('SELECT subject_id FROM certificates WHERE serial = ?')
        .get(serial) as Row | undefined;
      ensure(row, 'NOT_FOUND', 'no certificate with this serial number');
      const revoked = this.#database
        .prepare(
          'UPDATE certificates SET revoked_at = ? WHERE subject_id = ? AND revoked_at IS NULL RETURNING serial',
        )
        .all(nowMs, String(row.subject_id)) as Row[];
      if (revoked.length > 0) {
        this.#database.exec("UPDATE counters SET value = value + 1 WHERE name = 'revocation_number'");
      }
      return revoked.map((entry) => String(entry.serial));
    });
  }

  /**
   * Revokes all certificates of a subject and keeps nothing of them but serial numbers and ends, which the revocation
   * list needs, under a one-way name. Returns the serials; again: the same.
   */
  forget(subjectId: string, nowMs: number): string[] {
    return this.#transaction(() => {
      const name = forgottenName(subjectId);
      const fresh = this.#database
        .prepare('SELECT serial FROM certificates WHERE subject_id = ? AND revoked_at IS NULL')
        .all(subjectId) as Row[];
      const serials = this.#database
        .prepare(
          `UPDATE certificates SET subject_id = ?, hosts = '[]', der = x'', revoked_at = COALESCE(revoked_at, ?)
           WHERE subject_id IN (?, ?) RETURNING serial`,
        )
        .all(name, nowMs, subjectId, name) as Row[];
      for (const { serial } of serials)
        this.#database
          .prepare(
            "UPDATE tokens SET request_digest = x'', serial = NULL, hosts = '[]', created_at = 0, used_at = 0 WHERE serial = ?",
          )
          .run(String(serial));
      if (fresh.length > 0)
        this.#database.exec("UPDATE counters SET value = value + 1 WHERE name = 'revocation_number'");
      return serials.map(({ serial }) => String(serial)).sort();
    });
  }

  isRevoked(serial: string): boolean {
    const row = this.#database.prepare('SELECT revoked_at FROM certificates WHERE serial = ?').get(serial) as
      | Row
      | undefined;
    return row !== undefined && row.revoked_at !== null;
  }

  /** Revoked certificates that have not expired, and how many revocations there have been. */
  revocations(nowMs: number): { number: number; serials: string[] } {
    return this.#transaction(() => {
      const counter = this.#database
        .prepare("SELECT value FROM counters WHERE name = 'revocation_number'")
        .get() as Row;
      const rows = this.#database
        .prepare('SELECT serial FROM certificates WHERE revoked_at IS NOT NULL AND not_after >= ?')
        .all(nowMs) as Row[];
      return { number: Number(counter.value), serials: rows.map((row) => String(row.serial)) };
    });
  }

  /** Issued certificates, newest first, for the operator. */
  list(
    limit = 1000,
  ): { serial: string; subjectId: string; role: string; notAfterMs: number; revoked: boolean }[] {
    const rows = this.#database
      .prepare('SELECT * FROM certificates ORDER BY issued_at DESC, serial LIMIT ?')
      .all(limit) as Row[];
    return rows.map((row) => ({
      serial: String(row.serial),
      subjectId: String(row.subject_id),
      role: String(row.role),
      notAfterMs: Number(row.not_after),
      revoked: row.revoked_at !== null,
    }));
  }
}
