/**
 * A witness of the simulation: the real one over its real database file, and the coordinator's way to it.
 *
 * Trusts: nothing. May be called by: experiments/fuzz.
 */
import { join } from 'node:path';
import { type WitnessRecord, WitnessState } from '../../auditor/witness/state.ts';
import { Witness } from '../../auditor/witness/witness.ts';
import {
  readAnswer,
  type WitnessPeer,
  type WitnessPort,
} from '../../coordinator/witnessing/witness-client.ts';
import { utf8 } from '../../crypto/bytes.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import type { NoteSigner } from '../../crypto/log/checkpoint.ts';
import { type CosignerKey, noteVerifier } from '../../crypto/log/note-keys.ts';
import { encodeTlogPolicy } from '../../crypto/log/tlog-policy.ts';
import { encodeAddCheckpoint } from '../../crypto/log/witness-protocol.ts';
import { Life, processIsDead, WriteGate } from './life.ts';
import type { Network } from './network.ts';
import type { VirtualTime } from './virtual-time.ts';

const CALL_MS = 1500;
const RESTART_MS = 500;

export interface WitnessParts {
  readonly key: CosignerKey;
  readonly log: NoteSigner;
  readonly time: VirtualTime;
  /** 1 or 2. */
  readonly index: number;
  readonly directory: string;
  readonly onFault: (kind: 'crash-at-write' | 'disk-full') => void;
  /** The log signed what contradicts what it signed before. */
  readonly onMisbehaviour: (size: number) => void;
  /** Called between two lives with the path of the database; for planted bugs. */
  readonly betweenLives?: (path: string) => void;
}

export interface WitnessReply {
  readonly status: number;
  readonly body: Uint8Array;
}

class GatedWitnessState extends WitnessState {
  readonly #life: Life;
  readonly #gate: WriteGate;

  constructor(path: string, life: Life, gate: WriteGate) {
    super(path);
    this.#life = life;
    this.#gate = gate;
  }

  override update(origin: string, decide: (last: WitnessRecord | undefined) => WitnessRecord): WitnessRecord {
    if (!this.#life.alive) throw processIsDead();
    this.#gate.before();
    const record = super.update(origin, decide);
    this.#gate.after();
    return record;
  }
}

export class WitnessProcess {
  readonly name: string;
  readonly gate: WriteGate;
  readonly #parts: WitnessParts;
  readonly #path: string;
  #life: Life | null = null;
  #state: WitnessState | null = null;
  #witness: Witness | null = null;
  #restarts = 0;
  #lives = 0;
  downMs = 0;
  skewMs = 0;

  constructor(parts: WitnessParts) {
    this.#parts = parts;
    this.name = `witness${parts.index}`;
    this.#path = join(parts.directory, `${this.name}.sqlite`);
    this.gate = new WriteGate({
      onCrash: () => this.crash(this.downMs),
      onFault: parts.onFault,
      // What the real state throws where SQLite finds no room.
      makeFull: () =>
        new PulsefoldError('UNAVAILABLE', 'witness: the record could not be made durable; retry'),
    });
  }

  get life(): Life | undefined {
    return this.#life ?? undefined;
  }

  start(): void {
    if (this.#life) return;
    const { key, log, time, onMisbehaviour, betweenLives } = this.#parts;
    this.#state?.close();
    if (this.#lives++ > 0) betweenLives?.(this.#path);
    const life = new Life();
    this.#life = life;
    this.#state = new GatedWitnessState(this.#path, life, this.gate);
    this.#witness = new Witness({
      keys: [key],
      logs: [{ origin: log.name, verifiers: [noteVerifier(log)] }],
      state: this.#state,
      nowMs: () => time.nowMs() + this.skewMs,
      onMisbehaviour: (_origin, size) => onMisbehaviour(size),
    });
  }

  /** Answers as server.ts does over HTTP. */
  handle(body: Uint8Array): WitnessReply {
    const { status, body: text } = this.#witness!.addCheckpoint(body);
    this.#witness!.keepEvidence();
    return { status, body: utf8(text) };
  }

  crash(downMs: number): void {
    this.#life?.end();
    this.#life = null;
    this.#witness = null;
    const restart = ++this.#restarts;
    this.#parts.time.after(downMs || RESTART_MS, () => {
      if (restart === this.#restarts) this.start();
    });
  }

  close(): void {
    this.#life?.end();
    this.#life = null;
    this.#restarts++;
    this.#state?.close();
    this.#state = null;
  }
}

/** As the coordinator's configuration has a witness. */
export const peerOf = (key: CosignerKey): WitnessPeer => ({
  name: key.name,
  url: `https://${key.name}`,
  verifiers: [noteVerifier(key)],
});

/** The coordinator's requests to witnesses over the simulated network. */
export const portToWitnesses =
  (
    network: Network,
    witnesses: readonly WitnessProcess[],
    names: readonly string[],
    caller: Life,
  ): WitnessPort =>
  async (peer, request) => {
    const witness = witnesses[names.indexOf(peer.name)]!;
    const answer = (await network.call({
      link: witness.name,
      method: 'addCheckpoint',
      request: { body: utf8(encodeAddCheckpoint(request)) },
      caller,
      deadlineMs: CALL_MS,
      callee: () => witness.life,
      handle: async (message) => witness.handle((message as { body: Uint8Array }).body),
    })) as WitnessReply;
    // A body that is no text any more was changed on its way.
    return readAnswer(peer, request, answer.status, Buffer.from(answer.body).toString('utf8'));
  };

/** All of these witnesses must have cosigned. */
export function policyOf(log: NoteSigner, witnesses: readonly CosignerKey[]): string {
  const names = witnesses.map((_, i) => `w${i + 1}`);
  return encodeTlogPolicy({
    logs: [{ key: log }],
    witnesses: witnesses.map((key, i) => ({ name: names[i]!, key })),
    lines: [`group all ${names.length} ${names.join(' ')}`, 'quorum all'],
  });
}
