/**
 * A server's view of the registrar's revocation list: polled, checked, kept on disk.
 *
 * For: acceptance and the server's admission. Trusts: the pinned registrar CA. A list is taken only when the
 * registrar signed it and its number is not below the one already held, so nobody on the way can undo a
 * revocation; a list that is too old makes acceptance fail closed. May be called by: keyholder/ and coordinator/.
 */
import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { ensure } from '../../crypto/error.ts';
import {
  parseRevocationList,
  REVOCATION_LIST_BYTES_MAX,
  type RevocationList,
} from '../../crypto/identity/revocation.ts';
import { bytesUpTo, parse } from '../fields.ts';
import { writeFileAtomicSync } from './atomic-file.ts';

const RETRY_MS = 1000;
const replySchema = z.object({ list: bytesUpTo(REVOCATION_LIST_BYTES_MAX) });

/** What an acceptance decision may rely on. */
export interface Revocations {
  /** Throws UNAVAILABLE when the list is missing or too old to decide by. */
  requireFresh(nowMs: number): void;
  isRevoked(serial: string): boolean;
}

export interface RevocationOptions {
  readonly path: string;
  readonly registrarCaDer: Uint8Array;
  /** A list issued longer ago than this decides nothing. */
  readonly listAgeMsMax: number;
  readonly nowMs: () => number;
  /** GetRevocationList of the registrar; answers an unparsed reply. */
  readonly fetchList: () => Promise<unknown>;
}

export class RevocationCache implements Revocations {
  readonly #options: RevocationOptions;
  #list: RevocationList | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  /** Reads the list kept on disk, if any; an unreadable one is as good as none. */
  constructor(options: RevocationOptions) {
    this.#options = options;
    if (!existsSync(options.path)) return;
    try {
      const bytes = new Uint8Array(readFileSync(options.path));
      this.#list = parseRevocationList(bytes, options.registrarCaDer, options.nowMs());
    } catch {
      this.#list = undefined;
    }
  }

  get number(): number | undefined {
    return this.#list?.number;
  }

  requireFresh(nowMs: number): void {
    const list = this.#list;
    ensure(list, 'UNAVAILABLE', 'no revocation list yet: the registrar cannot be reached');
    const fresh = nowMs - list.issuedAtMs <= this.#options.listAgeMsMax;
    ensure(
      fresh,
      'UNAVAILABLE',
      'the revocation list is too old to decide by: the registrar cannot be reached',
    );
  }

  isRevoked(serial: string): boolean {
    return this.#list?.serials.has(serial) ?? false;
  }

  /**
   * Fetches, checks and keeps a list. Throws what the fetch or the check throws; the held list stays then.
   */
  async refresh(): Promise<void> {
    const { registrarCaDer, nowMs, path } = this.#options;
    const reply = parse(replySchema, await this.#options.fetchList());
    const list = parseRevocationList(reply.list, registrarCaDer, nowMs());
    const held = this.#list;
    const forward =
      !held ||
      list.number > held.number ||
      (list.number === held.number && list.issuedAtMs >= held.issuedAtMs);
    ensure(forward, 'CERTIFICATE_INVALID', 'the registrar sent an older revocation list than the one held');
    writeFileAtomicSync(path, reply.list);
    this.#list = list;
  }

  /**
   * Refreshes now and then every `intervalMs`; failures go to `onError`. While no usable list is held it asks
   * every second, so that the order in which processes start does not matter.
   */
  async start(intervalMs: number, onError: (error: unknown) => void): Promise<void> {
    const poll = async (): Promise<void> => {
      let nextMs = intervalMs;
      try {
        await this.refresh();
      } catch (error) {
        onError(error);
        if (!this.#isFresh()) nextMs = Math.min(intervalMs, RETRY_MS);
      }
      if (this.#stopped) return;
      this.#timer = setTimeout(() => void poll(), nextMs);
      this.#timer.unref();
    };
    await poll();
  }

  #isFresh(): boolean {
    const { listAgeMsMax, nowMs } = this.#options;
    return this.#list !== undefined && nowMs() - this.#list.issuedAtMs <= listAgeMsMax;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }
}
