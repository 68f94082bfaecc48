/**
 * The connections of a server: window, keepalive, idle time, age, number.
 *
 * For: http2-server.ts. Trusts: nothing. One timer sweeps over all of them instead of several timers each.
 */
import type { Http2SecureServer, Http2Server, ServerHttp2Session } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import type { TlsPeer } from './admission.ts';
import type { ByteBudget } from './byte-budget.ts';
import type { Connection } from './http2-call.ts';

export interface ConnectionLimits {
  readonly connectionsMax: number;
  /** Bytes of requests and replies of one connection at a time. */
  readonly connectionBytesMax: number;
  readonly idleMsMax: number;
  readonly ageMsMax: number;
  /** For calls that run when a connection is too old. */
  readonly ageGraceMs: number;
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  readonly sweepMs: number;
  /** What a peer may send on a connection before it hears that we read, bytes. */
  readonly connectionWindowBytes: number;
}

interface Entry extends Connection {
  readonly openedMs: number;
  activeMs: number;
  pingSentMs: number;
  pingPending: boolean;
}

/** The peer's certificate, when TLS accepted one. */
function tlsPeerOf(session: ServerHttp2Session): TlsPeer | undefined {
  const socket = session.socket as Partial<TLSSocket>;
  const leaf = socket.authorized ? socket.getPeerX509Certificate?.() : undefined;
  return leaf && { leaf, identity: undefined };
}

export class Connections {
  readonly #limits: ConnectionLimits;
  readonly #budget: ByteBudget;
  readonly #entries = new Map<ServerHttp2Session, Entry>();
  readonly #sweeper: NodeJS.Timeout;

  constructor(server: Http2Server | Http2SecureServer, limits: ConnectionLimits, budget: ByteBudget) {
    this.#limits = limits;
    this.#budget = budget;
    server.maxConnections = limits.connectionsMax;
    server.on('session', (session) => this.#add(session));
    this.#sweeper = setInterval(() => this.#sweep(performance.now()), limits.sweepMs).unref();
  }

  /** Undefined when the session is gone already. */
  of(session: ServerHttp2Session | undefined): Connection | undefined {
    const entry = session && this.#entries.get(session);
    if (entry) entry.activeMs = performance.now();
    return entry;
  }

  /** Tells all peers to go, waits for their calls, and after `graceMs` ends those that are left. */
  async close(graceMs: number): Promise<void> {
    clearInterval(this.#sweeper);
    const closed = [...this.#entries.keys()].map(
      (session) => new Promise<void>((resolve) => session.once('close', resolve).close()),
    );
    const timer = setTimeout(() => {
      for (const session of this.#entries.keys()) session.destroy();
    }, graceMs);
    await Promise.all(closed);
    clearTimeout(timer);
  }

  #add(session: ServerHttp2Session): void {
    const { remoteAddress, remotePort } = session.socket;
    const nowMs = performance.now();
    session.on('error', () => {});
    session.once('close', () => this.#entries.delete(session));
    session.setLocalWindowSize(this.#limits.connectionWindowBytes);
    const tlsPeer = tlsPeerOf(session);
    this.#entries.set(session, {
      certificate: tlsPeer && new Uint8Array(tlsPeer.leaf.raw),
      tlsPeer,
      peer: remoteAddress ? `${remoteAddress}:${remotePort}` : 'unknown',
      allowance: this.#budget.allowance(this.#limits.connectionBytesMax),
      calls: 0,
      streamingCalls: 0,
      openedMs: nowMs,
      activeMs: nowMs,
      pingSentMs: nowMs,
      pingPending: false,
    });
  }

  #sweep(nowMs: number): void {
    const { idleMsMax, ageMsMax, ageGraceMs, keepaliveMs, keepaliveTimeoutMs } = this.#limits;
    for (const [session, entry] of this.#entries) {
      if (session.destroyed) continue;
      const ageMs = nowMs - entry.openedMs;
      const sincePingMs = nowMs - entry.pingSentMs;
      if (entry.calls > 0) entry.activeMs = nowMs;
      if (entry.pingPending && sincePingMs > keepaliveTimeoutMs) session.destroy();
      else if (ageMs > ageMsMax + ageGraceMs) session.destroy();
      else if (ageMs > ageMsMax || nowMs - entry.activeMs > idleMsMax) session.close();
      else if (!entry.pingPending && sincePingMs > keepaliveMs) this.#ping(session, entry, nowMs);
    }
  }

  #ping(session: ServerHttp2Session, entry: Entry, nowMs: number): void {
    entry.pingSentMs = nowMs;
    entry.pingPending = session.ping(() => {
      entry.pingPending = false;
    });
  }
}
