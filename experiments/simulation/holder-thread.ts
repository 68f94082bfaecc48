/**
 * The key holders of signed devices, in a thread of their own: as in production their work is none of the coordinator's.
 *
 * Batches of entries, which all four are asked about, are sent once. Trusts: its own process. May be called by:
 * experiments/simulation.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Entry, HolderPort, OpenPart, OpenRequest } from '../../coordinator/rounds/holder-port.ts';
import { ensure } from '../../crypto/error.ts';
import type { SuiteName } from '../../crypto/identity/suite.ts';
import { openSecagg } from '../../crypto/secagg/scheme.ts';
import { parsePlanBytes } from '../../protos/plan.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';
import type { Seal } from './local-holders.ts';
import { simulationParties } from './parties.ts';
import { realHolders } from './real-holders.ts';
import { randomOf } from './seeds.ts';
import { signedHolders } from './signed-holders.ts';
import type { SimulationOptions } from './simulation-types.ts';
import { openThread, sameThread, type Thread, workerFile } from './threads.ts';

/** Batches that may still be asked about. */
const BATCHES_KEPT = 64;

export interface HolderSetup {
  readonly suite: SuiteName;
  readonly partiesSeed: string;
  readonly plan: Uint8Array;
  readonly seal: Seal;
  readonly seed: string;
  readonly noise: SimulationOptions['noise'];
  /** Of the holders' databases; only with a seal. */
  readonly directory: string;
}

type PlainCall = Exclude<keyof HolderPort, 'holderId' | 'accept' | 'draw' | 'open'>;

/** The four by their places in the plan. */
export class HolderBench {
  readonly #ports: readonly HolderPort[];
  readonly #batches = new Map<number, readonly Entry[]>();
  #nowMs = 0;

  private constructor(open: (nowMs: () => number) => readonly HolderPort[]) {
    this.#ports = open(() => this.#nowMs);
  }

  static async open({ suite, partiesSeed, plan, seal, seed, noise, directory }: HolderSetup) {
    const parties = simulationParties(suite, partiesSeed);
    const random = randomOf({ seed, noise });
    if (seal === 'none')
      return new HolderBench((nowMs) => signedHolders(parties, { nowMs, randomOf: random }));
    const secagg = await openSecagg();
    await secagg.ready(schemeOf(parsePlanBytes(plan), 'training').scheme);
    const options = { directory, randomOf: random };
    return new HolderBench((nowMs) => realHolders(parties, secagg, { ...options, nowMs }).ports);
  }

  async ask(index: number, nowMs: number, name: PlainCall, args: readonly unknown[]): Promise<unknown> {
    this.#nowMs = nowMs;
    const method = this.#ports[index]![name] as (...args: readonly unknown[]) => Promise<unknown>;
    return method(...args);
  }

  /** `entries` null: those that came with this batch's number before. */
  async accept(
    index: number,
    nowMs: number,
    batch: number,
    [planHash, round, entries]: readonly [Uint8Array, number, readonly Entry[] | null],
  ) {
    this.#nowMs = nowMs;
    if (entries) this.#batches.set(batch, entries);
    if (this.#batches.size > BATCHES_KEPT) this.#batches.delete(this.#batches.keys().next().value!);
    const known = this.#batches.get(batch);
    ensure(known, 'INTERNAL', 'a batch of entries that was never sent');
    return this.#ports[index]!.accept(planHash, round, known);
  }

  async open(
    index: number,
    nowMs: number,
    name: 'draw' | 'open',
    [request, parts]: readonly [OpenRequest, readonly OpenPart[]],
  ): Promise<unknown> {
    this.#nowMs = nowMs;
    return this.#ports[index]![name](request, parts);
  }
}

export interface OpenHolders {
  readonly ports: readonly HolderPort[];
  close(): Promise<void>;
}

/** `threads` 0: in this thread. */
export async function openHolderThread(
  setup: Omit<HolderSetup, 'directory'>,
  { holderIds, nowMs, threads }: { holderIds: readonly string[]; nowMs: () => number; threads: number },
): Promise<OpenHolders> {
  const directory = mkdtempSync(join(tmpdir(), 'pulsefold-simulation-'));
  const whole = { ...setup, directory };
  const remove = () => rmSync(directory, { recursive: true, force: true });
  try {
    const thread =
      threads === 0
        ? sameThread(await HolderBench.open(whole))
        : await openThread<HolderBench>(workerFile('holder-worker'), whole);
    const batches = new Batches();
    const close = async () => {
      await thread.close();
      remove();
    };
    return { ports: holderIds.map((id, i) => portOf(id, i, { thread, nowMs, batches })), close };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Numbers of batches, by the array that holds them: acceptance.ts asks all holders about the same ones. */
class Batches {
  readonly #numbers = new WeakMap<readonly Entry[], number>();
  readonly #sent: number[] = [];
  #next = 0;

  /** The batch's number, and its entries where they have to be sent. */
  of(entries: readonly Entry[]): { readonly number: number; readonly entries: readonly Entry[] | null } {
    const known = this.#numbers.get(entries);
    if (known !== undefined && this.#sent.includes(known)) return { number: known, entries: null };
    const number = this.#next++;
    this.#numbers.set(entries, number);
    this.#sent.push(number);
    if (this.#sent.length > BATCHES_KEPT) this.#sent.shift();
    return { number, entries: entries.map(compact) };
  }
}

/** A view is sent with all the memory around it: bytes get memory of their own first. */
function compact<T extends object>(message: T): T {
  const fields = Object.entries(message).map(([name, value]) => [name, ownBytes(value)]);
  return Object.fromEntries(fields) as T;
}

const ownBytes = (value: unknown): unknown =>
  value instanceof Uint8Array && (value.byteLength < value.buffer.byteLength || Buffer.isBuffer(value))
    ? new Uint8Array(value)
    : value;

function portOf(
  holderId: string,
  index: number,
  { thread, nowMs, batches }: { thread: Thread<HolderBench>; nowMs: () => number; batches: Batches },
): HolderPort {
  const ask = (name: PlainCall, ...args: readonly unknown[]) =>
    thread.call('ask', index, nowMs(), name, args) as Promise<never>;
  const open = (name: 'draw' | 'open', request: OpenRequest, parts: Iterable<OpenPart>) => {
    const sent = Array.from(parts, (one) =>
      compact({ ...one, entry: one.entry === null ? null : compact(one.entry) }),
    );
    return thread.call('open', index, nowMs(), name, [request, sent]) as Promise<never>;
  };
  return {
    holderId,
    registerPlan: (plan, approvals) => ask('registerPlan', plan, approvals),
    ceremonyStep: (request) => ask('ceremonyStep', request),
    accept: async (planHash, round, entries) => {
      const batch = batches.of(entries);
      return thread.call('accept', index, nowMs(), batch.number, [planHash, round, batch.entries]);
    },
    certify: (request) => ask('certify', request),
    abort: (planHash, round, reason) => ask('abort', planHash, round, reason),
    draw: (request, parts) => open('draw', request, parts),
    open: (request, parts) => open('open', request, parts),
    erase: (planHash, round) => ask('erase', planHash, round),
  };
}
