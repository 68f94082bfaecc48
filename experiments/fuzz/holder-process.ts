/**
 * A key holder of the simulation: the real service over its real database file, and what it does when it lies.
 *
 * Trusts: nothing. May be called by: experiments/fuzz.
 */
import { join } from 'node:path';
import { PulsefoldError } from '../../crypto/error.ts';
import { systemRandom } from '../../crypto/random.ts';
import { noHooks, PlanBook } from '../../keyholder/context.ts';
import { Custody } from '../../keyholder/custody.ts';
import { holderRules } from '../../keyholder/rules.ts';
import { KeyHolderService } from '../../keyholder/service.ts';
import type { HolderStore } from '../../keyholder/store.ts';
import { type OpenHeader, openHeaderSchema } from '../../protos/keyholder-messages.ts';
import { certificateStatement, partialStatement, partitionDrawStatement } from '../../protos/statements.ts';
import { Life, WriteGate } from './life.ts';
import { GatedHolderStore } from './stores.ts';
import type { VirtualTime } from './virtual-time.ts';
import type { FuzzWorld, HolderKeys } from './world.ts';

export type Lie = 'honest' | 'rejects' | 'wrong-answer';

export type HolderStoreMaker = (path: string, life: Life, gate: WriteGate) => HolderStore;

export interface HolderParts {
  readonly world: FuzzWorld;
  readonly time: VirtualTime;
  /** 1 to 4. */
  readonly index: number;
  readonly directory: string;
  readonly onFault: (kind: 'crash-at-write' | 'disk-full') => void;
  /** Opens the database of each life; for planted bugs. */
  readonly openStore?: HolderStoreMaker;
}

const storageKey = new Uint8Array(32).fill(7);

export class HolderProcess {
  readonly name: string;
  readonly keys: HolderKeys;
  readonly gate: WriteGate;
  readonly #parts: HolderParts;
  #life: Life | null = null;
  #store: HolderStore | null = null;
  #service: KeyHolderService | null = null;
  #restarts = 0;
  downMs = 0;
  skewMs = 0;
  lie: Lie = 'honest';

  constructor(parts: HolderParts) {
    this.#parts = parts;
    this.name = `holder${parts.index}`;
    this.keys = parts.world.holders[parts.index - 1]!;
    this.gate = new WriteGate({
      onCrash: () => this.crash(this.downMs),
      onFault: parts.onFault,
      makeFull: () => Object.assign(new Error('database or disk is full'), { code: 'ERR_SQLITE_ERROR' }),
    });
  }

  get life(): Life | undefined {
    return this.#life ?? undefined;
  }

  start(): void {
    if (this.#life) return;
    const { world, time, index, directory, openStore } = this.#parts;
    this.#store?.close();
    const life = new Life();
    const path = join(directory, `holder${index}.sqlite`);
    const store = openStore?.(path, life, this.gate) ?? new GatedHolderStore(path, life, this.gate);
    this.#store = store;
    const { suite, caDer: registrarCaDer, policy: approvals } = world;
    const { id, signing, sealing } = this.keys;
    const identity = { id, suite, signing, sealing };
    const limits = { plansMax: 8, openingsMax: 4 };
    try {
      this.#service = new KeyHolderService({
        identity,
        store,
        custody: new Custody({ suite, storageKey, holderId: id }),
        plans: new PlanBook({ identity, store, registrarCaDer, approvals, rules: holderRules, plansMax: 8 }),
        registrarCaDer,
        revocations: { requireFresh: () => {}, isRevoked: () => false },
        get bfv() {
          return world.secagg.bfv;
        },
        random: systemRandom,
        nowMs: () => time.nowMs() + this.skewMs,
        rules: holderRules,
        hooks: noHooks,
        limits,
      });
      this.#life = life;
    } catch {
      // Its first writes failed: the operator's supervisor tries again.
      life.end();
      this.#restartAfter(500);
    }
  }

  #restartAfter(delayMs: number): void {
    const restart = ++this.#restarts;
    this.#parts.time.after(delayMs, () => {
      if (restart === this.#restarts) this.start();
    });
  }

  crash(downMs: number): void {
    this.#life?.end();
    this.#life = null;
    this.#service = null;
    this.#restartAfter(downMs);
  }

  /** Closes the file; the holder is over. */
  close(): void {
    this.#life?.end();
    this.#life = null;
    this.#restarts++;
    this.#store?.close();
    this.#store = null;
  }

  /** Carries out a request as the network delivers it. */
  async handle(method: string, request: unknown): Promise<unknown> {
    const service = this.#service!;
    if (this.lie === 'rejects' && (method === 'accept' || method === 'certify'))
      return this.#reject(method, request);
    switch (method) {
      case 'registerPlan':
        return service.registerPlan(request);
      case 'ceremonyStep':
        return service.ceremonyStep(request);
      case 'accept':
        return service.accept(request);
      case 'certify':
        return service.certify(request);
      case 'abort':
        return service.abort(request);
      case 'erase':
        return service.erase(request);
      case 'open':
        return this.#open(service, request as readonly object[]);
      case 'draw':
        return this.#draw(service, request as readonly object[]);
      default:
        throw new PulsefoldError('NOT_FOUND', `no method ${method}`);
    }
  }

  #reject(method: string, request: unknown): object {
    if (method === 'certify') throw new PulsefoldError('CERTIFICATE_INVALID', 'this holder signs nothing');
    const { entries } = request as { entries: readonly unknown[] };
    return {
      accepted: [],
      rejected: entries.map(() => ({ deviceId: '', code: 'BAD_SIGNATURE', reason: 'this holder lies' })),
    };
  }

  /** A lie is signed like the truth: nobody can tell by its signature. */
  async #open(service: KeyHolderService, messages: readonly object[]): Promise<unknown> {
    const reply = await service.open(streamed(messages));
    if (this.lie !== 'wrong-answer') return reply;
    const { suite } = this.#parts.world;
    const partial = reply.partial.slice();
    partial[0] = partial[0]! ^ 1;
    const { activeSet } = openHeaderSchema.parse((messages[0] as { header: unknown }).header);
    const statement = partialStatement({
      certificate: certificateStatement(certificateIn(messages)),
      activeSet,
      holderId: this.keys.id,
      partialDigest: suite.digest(partial),
    });
    return { ...reply, partial, signature: suite.sign(this.keys.signing.secretKey, statement) };
  }

  /** Values of its own, signed: it would have the groups cut otherwise. */
  async #draw(service: KeyHolderService, messages: readonly object[]): Promise<unknown> {
    const reply = await service.draw(streamed(messages));
    if (this.lie !== 'wrong-answer') return reply;
    const { suite } = this.#parts.world;
    const values = reply.values.map((byte) => byte ^ 1);
    const certificate = certificateStatement(certificateIn(messages));
    const statement = partitionDrawStatement({ certificate, holderId: this.keys.id, values });
    return { ...reply, values, signature: suite.sign(this.keys.signing.secretKey, statement) };
  }
}

function certificateIn(messages: readonly object[]) {
  const header: OpenHeader = openHeaderSchema.parse((messages[0] as { header: unknown }).header);
  const { signatures: _s, activeSet: _a, digitCount: _d, draws: _w, ...certificate } = header;
  return certificate;
}

async function* streamed(messages: readonly object[]): AsyncGenerator<object> {
  yield* messages;
}
