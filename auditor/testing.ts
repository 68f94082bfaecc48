/**
 * A small but complete run directory for the auditor's tests, made with the code of the audited side
 * (crypto/dp, protos/plan-mechanism.ts), so that a passing audit is a cross-check of two accountants.
 *
 * Trusts: nothing. May be called by: auditor/*.test.ts.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromHex, toHex, utf8 } from '../crypto/bytes.ts';
import { formatEvent } from '../crypto/dp/events.ts';
import { roundEvent } from '../crypto/dp/plan-accounting.ts';
import { getSuite, type KeyPair } from '../crypto/identity/suite.ts';
import type { JsonObject } from '../crypto/log/canonical-json.ts';
import { canonicalJson } from '../crypto/log/canonical-json.ts';
import { encodeVerifierKey, type NoteSigner, signCheckpoint } from '../crypto/log/checkpoint.ts';
import { type Leaf, type LeafKind, type LeafOf, pseudonymParts } from '../crypto/log/leaves.ts';
import { MerkleTree, merkleRoot } from '../crypto/log/merkle.ts';
import { initialWeights } from '../protos/model.ts';
import { approvePlan, type ParsedPlan } from '../protos/plan.ts';
import { accountPlan, epsilonOfAmount, realisedCharge, roundMechanismOf } from '../protos/plan-mechanism.ts';
import {
  abortStatement,
  certificateStatement,
  committeeKeyStatement,
  partitionDrawStatement,
  weightsDigest,
} from '../protos/statements.ts';
import { type FixtureOptions, fixturePlan } from './testing-plan.ts';

const peopleOf = (grouped: boolean): string[] =>
  grouped
    ? Array.from({ length: 18 }, (_, i) => (16 + i).toString(16).repeat(32))
    : ['1', '2', '3', '4', '5'].map((digit) => digit.repeat(64));

/**
 * Rounds 1 and 3 are certified with all people but one, round 2 is aborted. Mutate `leaves` and files, then
 * `write`.
 */
export class RunFixture {
  readonly suite;
  readonly approver: KeyPair;
  readonly holders: { id: string; signing: KeyPair }[];
  readonly coordinator: KeyPair;
  readonly parsed: ParsedPlan;
  readonly signer: NoteSigner;
  leaves: Leaf[] = [];
  readonly roundFiles = new Map<
    number,
    {
      planHash: string;
      round: number;
      cohortLeafHashes?: string[];
      sum: { digits: number[]; hash: string } | null;
      groups?: { sizes: number[]; valid: boolean[] };
      draws?: { holderId: string; values: string; signature: string }[];
    }
  >();
  readonly ledgerEvents: JsonObject[] = [];
  weights: Float32Array;
  readonly #grouped: boolean;
  readonly #people: readonly string[];
  #spent = 0;

  constructor(options: FixtureOptions = {}) {
    const { suite = 'intl', grouped = false } = options;
    this.#grouped = grouped;
    this.#people = peopleOf(grouped);
    this.suite = getSuite(suite);
    this.approver = this.suite.generateSigningKey();
    this.coordinator = this.suite.generateSigningKey();
    this.holders = [1, 2, 3, 4].map((i) => ({ id: `holder-${i}`, signing: this.suite.generateSigningKey() }));
    const { suite: theirs, holders, coordinator } = this;
    this.parsed = fixturePlan(
      { suite: theirs, holders, coordinator, cohortCount: this.#cohortCount },
      options,
    );
    this.weights = initialWeights(this.parsed.plan.model, this.parsed.plan.seed);
    this.signer = {
      name: 'pulsefold.example/log',
      algorithm: suite === 'gm' ? 'sm2' : 'ed25519',
      publicKey: this.coordinator.publicKey,
      sign: (message) => this.suite.sign(this.coordinator.secretKey, message),
    };
    const approval = approvePlan(this.parsed, 'ethics', this.approver);
    const approvals = [
      { approverId: 'ethics', publicKey: toHex(approval.publicKey), signature: toHex(approval.signature) },
    ];
    this.#add('plan_approved', { planHash: this.parsed.hashHex, approvals });
    for (const round of [1, 2, 3]) this.#ceremony(round);
    this.#certified(1);
    this.#aborted(2);
    this.#certified(3);
  }

  get #cohortCount(): number {
    return this.#people.length - 1;
  }

  #add<K extends LeafKind>(kind: K, body: Omit<LeafOf<K>, 'kind' | 'version' | 'timeMs'>): void {
    this.leaves.push({
      kind,
      version: 1,
      timeMs: 1_790_000_000_000 + this.leaves.length,
      ...body,
    } as unknown as Leaf);
  }

  /** Signatures of the first `count` holders. */
  sign(statement: Uint8Array, count: number): { holderId: string; signature: string }[] {
    return this.holders.slice(0, count).map(({ id, signing }) => ({
      holderId: id,
      signature: toHex(this.suite.sign(signing.secretKey, statement)),
    }));
  }

  hash(...parts: (string | number)[]): string {
    return toHex(this.suite.digest(utf8(parts.join('/'))));
  }

  #ceremony(round: number): void {
    const committeeKeyId = this.hash('key', round);
    const statement = committeeKeyStatement({
      planHash: this.parsed.hash,
      round,
      keyId: fromHex(committeeKeyId),
    });
    const signatures = this.sign(statement, 4);
    const planHash = this.parsed.hashHex;
    this.#add('ceremony', {
      planHash,
      round,
      ceremonyId: this.hash('ceremony', round),
      committeeKeyId,
      signatures,
    });
  }

  #opened(round: number) {
    const body = {
      planHash: this.parsed.hashHex,
      round,
      modelHash: this.modelHash(),
      configHash: this.hash('config', round),
      committeeKeyId: this.hash('key', round),
    };
    this.#add('round_opened', { ...body, purpose: 'training' });
    return body;
  }

  modelHash(): string {
    return toHex(weightsDigest(this.suite, new Uint8Array(this.weights.buffer)));
  }

  /** Signature list and hash of a certificate leaf's statement. */
  certify(leaf: Omit<LeafOf<'round_certificate'>, 'kind' | 'version' | 'timeMs' | 'signatures'>, count = 3) {
    const statement = certificateStatement({
      planHash: fromHex(leaf.planHash),
      round: leaf.round,
      modelHash: fromHex(leaf.modelHash),
      configHash: fromHex(leaf.configHash),
      committeeKeyId: fromHex(leaf.committeeKeyId),
      cohortRoot: fromHex(leaf.cohortRoot),
      cohortCount: leaf.cohortCount,
    });
    return { signatures: this.sign(statement, count), hash: toHex(this.suite.digest(statement)), statement };
  }

  #reserve(round: number): { order: string; charge: string } | undefined {
    const account = accountPlan(this.parsed);
    if (account === null) return undefined;
    const held = { order: String(account.order), charge: String(account.charge.training) };
    for (const part of pseudonymParts(this.#people))
      this.#add('reservation', { planHash: this.parsed.hashHex, round, ...part, ...held });
    return held;
  }

  #certified(round: number): void {
    const planHash = this.parsed.hashHex;
    const opened = this.#opened(round);
    const held = this.#reserve(round);
    const cohortLeafHashes = this.#people
      .slice(1)
      .map((_, device) => this.hash(`device-${device + 1}`, round));
    const cohortRoot = toHex(MerkleTree.fromLeafHashes(cohortLeafHashes.map(fromHex)).root());
    const body = { ...opened, cohortRoot, cohortCount: this.#cohortCount };
    const { signatures, hash, statement } = this.certify(body);
    this.#add('round_certificate', { ...body, signatures });
    if (held !== undefined) this.#settle(round, hash, held);
    const digits = this.#grouped ? [round, -2, 3000, 0, 0, 0, 7, 8, 9] : [round, -2, 3000];
    const groups = this.#grouped ? { groups: { sizes: [6, 6, 5], valid: [true, false, true] } } : {};
    const sumHash = toHex(this.suite.digest(new Uint8Array(Int32Array.from(digits).buffer)));
    this.#add('opened_sum', {
      planHash,
      round,
      certificateHash: hash,
      sumHash,
      length: digits.length,
      activeSet: this.#grouped ? ['holder-1', 'holder-3', 'holder-4'] : ['holder-1', 'holder-3'],
      ...groups,
    });
    const sum = { digits, hash: sumHash };
    const draws = this.#grouped ? { draws: this.draws(statement) } : {};
    this.roundFiles.set(round, { planHash, round, cohortLeafHashes, sum, ...groups, ...draws });
    this.weights = this.weights.map((weight, i) => weight + 0.1 * (i + round));
    const privacy = this.parsed.plan.privacy;
    const order = accountPlan(this.parsed)?.order ?? 'zcdp';
    this.#add('release', {
      planHash,
      round,
      what: 'model',
      contentHash: this.modelHash(),
      epsilon: privacy
        ? String(epsilonOfAmount(order, this.#spent, accountPlan(this.parsed)!.delta))
        : 'Infinity',
      delta: privacy?.delta ?? '0',
      gamma: privacy?.gamma ?? '0',
      epsilonBudget: privacy?.epsilon ?? 'Infinity',
    });
  }

  /** Holders 1, 2 and 4 on the partition. */
  draws(certificate: Uint8Array): { holderId: string; values: string; signature: string }[] {
    return [1, 2, 4].map((index) => {
      const known = [1, 2, 3, 4].filter((k) => k !== index);
      const values = known.map((k) => this.hash('draw', k, toHex(certificate))).join('');
      return this.signDraw(index, certificate, values);
    });
  }

  /** What holder `index` signs of it; `values` as hexadecimal. */
  signDraw(index: number, certificate: Uint8Array, values: string) {
    const { id: holderId, signing } = this.holders[index - 1]!;
    const statement = partitionDrawStatement({ certificate, holderId, values: fromHex(values) });
    return { holderId, values, signature: toHex(this.suite.sign(signing.secretKey, statement)) };
  }

  #settle(round: number, hash: string, held: { order: string; charge: string }): void {
    const planHash = this.parsed.hashHex;
    const { order } = accountPlan(this.parsed)!;
    const amount = realisedCharge(this.parsed, 'training', this.#cohortCount, order);
    this.#spent += amount;
    const event = JSON.parse(
      formatEvent(roundEvent(roundMechanismOf(this.parsed, 'training', this.#cohortCount)!)),
    );
    const paid = { order: held.order, charge: String(amount) };
    this.#add('mechanism', { planHash, round, certificateHash: hash, ...paid, event });
    for (const [outcome, people] of [
      ['charged', this.#people.slice(0, -1)],
      ['released', this.#people.slice(-1)],
    ] as const)
      for (const part of pseudonymParts(people))
        this.#add('settlement', { planHash, round, ...part, ...paid, statementHash: hash, outcome });
    this.ledgerEvents.push({
      kind: 'settle',
      planHash,
      round,
      certificateHash: hash,
      chargeSteps: amount * 2 ** 40,
      charged: this.#people.slice(0, -1),
      released: this.#people.slice(-1),
    });
  }

  #aborted(round: number): void {
    const planHash = this.parsed.hashHex;
    this.#opened(round);
    const held = this.#reserve(round);
    const reason = 'too few uploads';
    const statement = abortStatement({ planHash: this.parsed.hash, round, reason });
    this.#add('abort', { planHash, round, reason, signatures: this.sign(statement, 3) });
    this.roundFiles.set(round, { planHash, round, sum: null });
    if (held === undefined) return;
    const abortHash = toHex(this.suite.digest(statement));
    for (const part of pseudonymParts(this.#people))
      this.#add('settlement', {
        planHash,
        round,
        ...part,
        ...held,
        statementHash: abortHash,
        outcome: 'released',
      });
    this.ledgerEvents.push({ kind: 'abort', planHash, round, abortHash, released: this.#people });
  }

  /** The one leaf of this kind in this round. */
  leaf<K extends LeafKind>(kind: K, round = 1, nth = 0): LeafOf<K> {
    return this.leaves.filter((leaf) => leaf.kind === kind && (!('round' in leaf) || leaf.round === round))[
      nth
    ] as unknown as LeafOf<K>;
  }

  /** Replaces a leaf, as a coordinator that rewrites its own log could. */
  edit(leaf: Leaf, change: Record<string, unknown>): void {
    this.leaves = this.leaves.map((other) => (other === leaf ? ({ ...leaf, ...change } as Leaf) : other));
  }

  checkpoint(size = this.leaves.length): string {
    const root = merkleRoot(this.leaves.slice(0, size).map((leaf) => utf8(canonicalJson(leaf))));
    return signCheckpoint({ origin: this.signer.name, size, root }, [this.signer]);
  }

  get logKey(): string {
    return encodeVerifierKey(this.signer);
  }

  /** Writes everything; the checkpoint is signed over the leaves as they are now. */
  write(directory: string): string {
    mkdirSync(join(directory, 'rounds'), { recursive: true });
    mkdirSync(join(directory, 'log'), { recursive: true });
    const write = (name: string, text: string | Uint8Array) => writeFileSync(join(directory, name), text);
    write('plan.json', `${Buffer.from(this.parsed.bytes).toString('utf8')}\n`);
    write(
      'model.json',
      JSON.stringify({
        planHash: this.parsed.hashHex,
        modelHash: this.modelHash(),
        weights: [...this.weights],
      }),
    );
    for (const [round, file] of this.roundFiles) write(`rounds/${round}.json`, JSON.stringify(file));
    write('ledger.json', JSON.stringify({ events: this.ledgerEvents }));
    write('log/leaves.ndjson', this.leaves.map((leaf) => `${canonicalJson(leaf)}\n`).join(''));
    write('log/checkpoint', this.checkpoint());
    write('log/key', `${this.logKey}\n`);
    return directory;
  }
}
