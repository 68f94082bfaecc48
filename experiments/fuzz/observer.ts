/**
 * Sees what no party may see: every digit that a device seals, every message, every signature. Keeps it for the
 * invariants and answers at once where a message alone breaks one.
 *
 * This is why it lives in experiments/ and nowhere else (experiments/e2e/no-observer.test.ts). Trusts: nothing.
 * May be called by: experiments/fuzz.
 */
import type { SealRequest } from '../../client/agent/seal.ts';
import type { TrainEngine } from '../../client/training/engine.ts';
import { toHex, utf8 } from '../../crypto/bytes.ts';
import type { Suite } from '../../crypto/identity/suite.ts';
import type { SealedParts, SumScheme } from '../../crypto/secagg/scheme.ts';
import { parseReceipt, type Receipt } from '../../protos/receipt.ts';
import { uploadDigest } from '../../protos/statements.ts';
import { bytesIn, type Call } from './network.ts';
import { RightsWatch } from './rights-watch.ts';
import { signedBytes, verifiesElsewhere } from './second-library.ts';
import { DrawWatch, WitnessWatch } from './watches.ts';
import type { FuzzWorld } from './world.ts';

export const INVARIANTS = [
  'sum-is-of-the-certified',
  'groups-are-as-drawn',
  'one-upload-per-round',
  'sealed-before-it-leaves',
  'masks-are-fresh',
  'acknowledged-stays',
  'receipts-agree',
  'one-statement-per-round',
  'signed-by-its-key',
  'one-ending-per-round',
  'ledger-within-budget',
  'ledger-follows-certificates',
  'budget-spans-plans',
  'device-within-budget',
  'device-charged-enough',
  'log-only-grows',
  'log-replays',
  'witness-never-goes-back',
  'consent-comes-first',
  'withdrawn-stays-out',
  'erased-stays-out',
  'erased-is-forgotten',
  'retention-is-kept',
  'report-is-whole',
  'auditor-agrees',
  'no-internal-error',
  'no-false-alarm',
  'the-plan-ends',
] as const;
export type Invariant = (typeof INVARIANTS)[number];

/** An invariant that does not hold. */
export class Violation extends Error {
  readonly invariant: Invariant;
  constructor(invariant: Invariant, message: string) {
    super(message);
    this.invariant = invariant;
  }
}

export interface SealedDigits {
  readonly deviceId: string;
  readonly configHex: string;
  readonly digits: readonly number[];
}

export interface Acknowledgement {
  readonly planHex: string;
  readonly round: number;
  readonly deviceId: string;
  readonly digest: string;
  readonly late: boolean;
  /** By the coordinator's clock. */
  readonly atMs: number;
}

export interface SeenReceipt {
  readonly planHex: string;
  readonly round: number;
  readonly deviceId: string;
  readonly facts: string;
}

/** Shortest byte string that is looked for in messages: shorter ones occur by chance. */
const NEEDLE_BYTES_MIN = 8;

export class Observer {
  readonly #world: FuzzWorld;
  readonly #needles = new Map<string, Buffer>();
  readonly #digests = new Map<string, string>();
  /** Of masks and of what holders get: nobody may see one twice. */
  readonly #masks = new Set<string>();
  readonly #statements = new Map<string, Map<string, Set<string>>>();
  #violation: Violation | null = null;
  readonly checks = Object.fromEntries(INVARIANTS.map((name) => [name, 0])) as Record<Invariant, number>;
  /** By upload digest, hexadecimal. */
  readonly sealed = new Map<string, SealedDigits>();
  readonly acknowledgements = new Map<string, Acknowledgement>();
  readonly receipts = new Map<string, SeenReceipt>();
  readonly rights: RightsWatch;
  readonly witnessed: WitnessWatch;
  readonly draws = new DrawWatch();
  messages = 0;

  constructor(world: FuzzWorld) {
    this.#world = world;
    this.rights = new RightsWatch(this);
    this.witnessed = new WitnessWatch(this);
  }

  /** The first one is kept: what follows from a broken state says little. */
  report(invariant: Invariant, message: string): void {
    this.#violation ??= new Violation(invariant, message);
  }

  /** Counts the check of an invariant; `holds` false breaks it. */
  check(invariant: Invariant, holds: boolean, message: () => string): void {
    this.checks[invariant]++;
    if (!holds) this.report(invariant, message());
  }

  get suite(): Suite {
    return this.#world.suite;
  }

  get violation(): Violation | null {
    return this.#violation;
  }

  /** What the engine made of a device's rows: never in any message. */
  trained(before: Float32Array, after: Float32Array): void {
    const update = after.map((value, i) => value - before[i]!);
    for (const values of [after, update])
      this.#forbid(`an update of ${values.length} weights`, Buffer.from(values.slice().buffer));
    this.#forbid('an update as text', Buffer.from(JSON.stringify([...update]).slice(1, -1)));
  }

  /** `digits` before the sealer wipes them. */
  seals(request: SealRequest, { body, holderPart }: SealedParts, copy: Int32Array): void {
    const { deviceId, configHash, digits, scheme } = request;
    const digest = toHex(uploadDigest(this.#world.suite, body, holderPart));
    this.sealed.set(digest, { deviceId, configHex: toHex(configHash), digits: [...copy] });
    const holderBytes = Buffer.from(holderPart).toString('latin1');
    for (const mask of [`holders ${holderBytes}`, maskOf(scheme, body, copy)]) {
      if (mask === null) continue;
      this.check(
        'masks-are-fresh',
        !this.#masks.has(mask),
        () => `${deviceId.slice(0, 8)} masks two updates alike`,
      );
      this.#masks.add(mask);
    }
    if (digits.every((digit) => digit === 0)) return;
    this.#forbid('digits of 32 bits', Buffer.from(copy.slice().buffer));
    if (scheme.wordBits === 16) this.#forbid('digits of 16 bits', Buffer.from(Int16Array.from(copy).buffer));
    this.#forbid('digits as text', Buffer.from(JSON.stringify([...copy]).slice(1, -1)));
  }

  #forbid(what: string, bytes: Buffer): void {
    const isZero = bytes.every((byte) => byte === 0);
    if (bytes.length < NEEDLE_BYTES_MIN || isZero) return;
    const kept = Buffer.from(bytes);
    this.#needles.set(`${what}/${kept.toString('latin1')}`, kept);
  }

  /** A message of a party to another one, as it leaves. */
  message(from: 'caller' | 'callee', call: Call, message: unknown): void {
    this.messages++;
    const isDevice = call.link.startsWith('device');
    if (isDevice) this.rights.message(from, call, message);
    if (call.link.startsWith('witness') && from === 'callee') this.witnessed.answered(call, message);
    if (isDevice && from === 'caller') this.#searchForDigits(call, message);
    if (isDevice && call.method === 'putUpload' && from === 'caller') this.#uploadLeaves(call, message);
    if (from !== 'callee') return;
    this.checks['no-internal-error']++;
    if (call.method === 'certify' || call.method === 'abort') this.#statementLeaves(call, message);
    if (call.method === 'draw') this.draws.answered(call, message);
    if (call.method === 'putUpload') this.#uploadAnswered(call, message);
    if (call.method === 'getReceipt') this.#receiptLeaves(call, message);
  }

  #searchForDigits(call: Call, message: unknown): void {
    this.checks['sealed-before-it-leaves']++;
    if (this.#needles.size === 0) return;
    const streams = [...bytesIn(message), utf8(textIn(message))];
    for (const [name, needle] of this.#needles)
      if (streams.some((stream) => stream.length >= needle.length && Buffer.from(stream).includes(needle)))
        this.report(
          'sealed-before-it-leaves',
          `${call.link} ${call.method}: ${name.split('/')[0]} leaves it`,
        );
  }

  #uploadLeaves({ link }: Call, message: unknown): void {
    const { header } = message as { header: { configHash: Uint8Array; digest: Uint8Array } };
    const key = `${link} ${toHex(header.configHash)}`;
    const digest = toHex(header.digest);
    const first = this.#digests.get(key) ?? digest;
    this.#digests.set(key, first);
    this.check('one-upload-per-round', first === digest, () => `${link} sends a second update for one round`);
  }

  /** Holders that do not lie sign one statement per round; two statements never both get a quorum. */
  #statementLeaves({ link, method, request }: Call, message: unknown): void {
    const { signature } = message as { signature: Uint8Array };
    const holder = this.#world.holders[Number(link.at(-1)) - 1]!;
    this.check(
      'signed-by-its-key',
      verifiesElsewhere(
        this.#world.suite.name,
        holder.signing.publicKey,
        signedBytes(method, request),
        signature,
      ),
      () => `${link} answers ${method} with a signature that a second library refuses`,
    );
    const { planHash, round } = request as { planHash: Uint8Array; round: number };
    const said = method === 'abort' ? abortText(request) : certificateText(request);
    const key = `${toHex(planHash)}/${round}`;
    const statements = this.#statements.get(key) ?? new Map<string, Set<string>>();
    this.#statements.set(key, statements);
    const signers = statements.get(said) ?? new Set<string>();
    statements.set(said, signers.add(link));
    const others = [...statements].filter(([other, by]) => other !== said && by.has(link));
    this.check(
      'one-statement-per-round',
      others.length === 0,
      () => `${link} signs "${said}" after "${others[0]?.[0]}" in round ${round}`,
    );
  }

  /** Holders that signed a certificate of this round. */
  certifiers(planHex: string, round: number): number {
    const statements = this.#statements.get(`${planHex}/${round}`) ?? new Map<string, Set<string>>();
    return Math.max(0, ...[...statements].map(([said, by]) => (said.startsWith('abort') ? 0 : by.size)));
  }

  #uploadAnswered({ link, request }: Call, message: unknown): void {
    const reply = message as { acknowledged: boolean; late: boolean };
    if (!reply.acknowledged) return;
    const { header } = request as { header: { configHash: Uint8Array; digest: Uint8Array } };
    const digest = toHex(header.digest);
    const config = toHex(header.configHash);
    this.onAcknowledged(link, config, digest, reply.late);
  }

  /** Replaced by the simulation, which knows the round of a configuration. */
  onAcknowledged: (link: string, configHex: string, digest: string, late: boolean) => void = () => {};

  #receiptLeaves({ link }: Call, message: unknown): void {
    const { receipt: bytes } = message as { receipt?: Uint8Array };
    if (!bytes || bytes.length === 0) return;
    const receipt = parseReceipt(bytes);
    const { planHash: planHex, round, deviceId } = receipt;
    const facts = factsOf(receipt);
    const key = `${planHex}/${round}/${deviceId}/${receipt.digest}`;
    const before = this.receipts.get(key);
    this.check(
      'receipts-agree',
      before === undefined || before.facts === facts,
      () => `${link} is told "${facts}" after "${before?.facts}" about round ${round}`,
    );
    this.receipts.set(key, { planHex, round, deviceId, facts });
  }
}

/** What hides the digits of a short sum under seeds; null where a cipher with errors of its own does. */
function maskOf(
  { transport, long, wordBits }: SumScheme,
  body: Uint8Array,
  digits: Int32Array,
): string | null {
  if (transport !== 'shares' || long !== null) return null;
  const words = wordBits === 16 ? new Uint16Array(body.slice().buffer) : new Uint32Array(body.slice().buffer);
  return `mask ${words.map((word, i) => word - (digits[i] ?? 0)).join(',')}`;
}

const abortText = (request: unknown): string => `abort: ${(request as { reason: string }).reason}`;
const certificateText = (request: unknown): string => {
  const { cohortRoot, deviceIds, configHash } = request as {
    cohortRoot: Uint8Array;
    deviceIds: readonly string[];
    configHash: Uint8Array;
  };
  return `certificate: ${toHex(cohortRoot).slice(0, 16)} of ${deviceIds.length}, ${toHex(configHash).slice(0, 16)}`;
};

/** What a later receipt about the same upload must repeat. */
function factsOf({ outcome, certificate, abort, charge }: Receipt): string {
  const of = certificate ? ` in ${certificate.cohortRoot.slice(0, 16)} of ${certificate.cohortCount}` : '';
  return `${outcome}${of}${abort ? `: ${abort.reason}` : ''}${charge ? ` for ${charge.amount}` : ''}`;
}

/** Every text of a message. */
function textIn(message: unknown): string {
  if (typeof message === 'string') return `${message} `;
  if (message === null || typeof message !== 'object' || message instanceof Uint8Array) return '';
  return Object.values(message).map(textIn).join('');
}

/** The engine of a device, watched. */
export const watchedEngine = (engine: TrainEngine, observer: Observer): TrainEngine => ({
  ...engine,
  async train(spec, weights, data, options) {
    const trained = await engine.train(spec, weights, data, options);
    observer.trained(weights, trained);
    return trained;
  },
});
