/**
 * Reads the disks of a simulated deployment, checks them against what the observer saw, after each op.
 *
 * It works from what devices sealed and holders signed, never from what the coordinator computed with them.
 * Trusts: nothing. May be called by: experiments/fuzz.
 */
import type { ClientState } from '../../client/agent/store.ts';
import { BudgetLedger } from '../../coordinator/ledger/budget-ledger.ts';
import { budgetAlarms } from '../../coordinator/rounds/reconcile.ts';
import * as repository from '../../coordinator/rounds/repository.ts';
import { AppendLog } from '../../coordinator/storage/append-log.ts';
import type { SqliteStore } from '../../coordinator/storage/sqlite-store.ts';
import type { Database } from '../../coordinator/storage/store.ts';
import { equalBytes, fromHex, toHex } from '../../crypto/bytes.ts';
import { centredResidue } from '../../crypto/dp/digits.ts';
import { createFilter } from '../../crypto/dp/filter.ts';
import { type Leaf, parseLeaf } from '../../crypto/log/leaves.ts';
import { leafHash, MerkleTree, merkleRoot } from '../../crypto/log/merkle.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { accountPlan, realisedCharge } from '../../protos/plan-mechanism.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';
import type { RoundKind } from '../../protos/round-config.ts';
import { entryLeaf } from '../../protos/statements.ts';
import { LOG_ORIGIN } from './coordinator-process.ts';
import type { DeviceProcess } from './device-process.ts';
import type { Observer } from './observer.ts';
import { BUDGET } from './world.ts';

/** Charges stand on a grid of 2^-40. */
const SLACK = 2 ** -38;
const CERTIFIED_PHASES: readonly string[] = ['opening', 'opened', 'released', 'unopened'];
export const FINAL_PHASES: readonly string[] = ['released', 'unopened', 'aborted'];

/** Leaves that a round has one of. */
const ONCE_PER_ROUND = 'ceremony round_opened mechanism opened_sum unopened release'.split(' ');

const limits = new Map<number | 'zcdp', number>();

/** What a device's own filter of this order holds. */
function limitOf(order: number | 'zcdp'): number {
  const limit = limits.get(order) ?? createFilter(Number(BUDGET.epsilon), 1e-5, order).limit;
  limits.set(order, limit);
  return limit;
}

interface CertifiedRound {
  readonly round: number;
  readonly kind: RoundKind;
  readonly cohort: readonly string[];
}

export class Inspection {
  readonly #observer: Observer;
  readonly #parsed: ParsedPlan;
  readonly #disk: SqliteStore;
  readonly #devices: readonly DeviceProcess[];
  readonly #ledger: BudgetLedger;
  /** The tree of every leaf that was ever on disk. */
  readonly #tree = new MerkleTree();
  readonly #leaves: Leaf[] = [];
  readonly #said = new Set<string>();
  readonly #endings = new Map<number, string>();
  readonly #certified = new Map<number, CertifiedRound>();
  readonly #summed = new Set<number>();
  /** What of a device was looked at last. */
  readonly #checked = new Map<string, string>();
  readonly #roundOfConfig = new Map<string, number>();

  constructor(observer: Observer, parsed: ParsedPlan, disk: SqliteStore, devices: readonly DeviceProcess[]) {
    this.#observer = observer;
    this.#parsed = parsed;
    this.#disk = disk;
    this.#devices = devices;
    this.#ledger = new BudgetLedger(disk);
    observer.onAcknowledged = (link, configHex, digest, late) => {
      const deviceId = devices[Number(link.slice('device'.length))]!.identity.subjectId;
      const round = this.#roundOf(configHex);
      if (round === undefined) return;
      const key = `${round}/${deviceId}/${late}`;
      observer.acknowledgements.set(key, { planHex: parsed.hashHex, round, deviceId, digest, late });
    };
  }

  #roundOf(configHex: string): number | undefined {
    const known = this.#roundOfConfig.get(configHex);
    if (known !== undefined) return known;
    const row = this.#read((db) => repository.roundByConfig(db, configHex));
    if (row) this.#roundOfConfig.set(configHex, row.round);
    return row?.round;
  }

  #read<T>(look: (db: Database) => T): T {
    return this.#disk.read('observer', look);
  }

  get rounds(): ReturnType<typeof repository.listRounds> {
    return this.#read((db) => repository.listRounds(db, this.#parsed.hashHex));
  }

  get planRow(): repository.PlanRow | undefined {
    return this.#read((db) => repository.getPlan(db, this.#parsed.hashHex));
  }

  #state(row: repository.RoundRow) {
    return this.#read((db) => repository.loadRoundState(db, this.#parsed.hashHex, row));
  }

  /** Empty before a cohort is fixed. */
  cohortOf(row: repository.RoundRow): readonly string[] {
    return this.#state(row).cohort ?? [];
  }

  /** Everything that must hold at any moment. */
  async check(): Promise<void> {
    this.#checkLog();
    this.#checkRounds();
    this.#checkAcknowledgements();
    this.#checkLedger();
    for (const device of this.#devices) await this.#checkDevice(device);
  }

  #checkLog(): void {
    const rows = this.#read((db) => ({
      size: db.get<{ size: number }>('SELECT COUNT(*) AS size FROM log_leaves')!.size,
      fresh: db.all<{ data: Uint8Array }>(
        'SELECT data FROM log_leaves WHERE number >= ? ORDER BY number',
        this.#tree.size,
      ),
    }));
    const before = this.#tree.size;
    for (const { data } of rows.fresh) {
      this.#tree.appendHash(leafHash(data));
      this.#noteLeaf(parseLeaf(data));
    }
    this.#observer.check(
      'log-only-grows',
      rows.size >= before,
      () => `the log had ${before} leaves and now has ${rows.size}`,
    );
  }

  #noteLeaf(leaf: Leaf): void {
    this.#leaves.push(leaf);
    if (ONCE_PER_ROUND.includes(leaf.kind)) {
      const { round } = leaf as { round: number };
      const said = `${leaf.kind} ${round}`;
      this.#observer.check(
        'one-ending-per-round',
        !this.#said.has(said),
        () => `the log has "${said}" twice`,
      );
      this.#said.add(said);
    }
    if (leaf.kind !== 'round_certificate' && leaf.kind !== 'abort') return;
    const said =
      leaf.kind === 'abort'
        ? `abort: ${leaf.reason}`
        : `certificate ${leaf.cohortRoot} of ${leaf.cohortCount}`;
    const before = this.#endings.get(leaf.round);
    this.#observer.check(
      'one-ending-per-round',
      before === undefined,
      () => `the log ends round ${leaf.round} twice: ${before}; ${said}`,
    );
    this.#endings.set(leaf.round, said);
  }

  #checkRounds(): void {
    for (const row of this.rounds) {
      if (!CERTIFIED_PHASES.includes(row.phase)) continue;
      const known = this.#certified.get(row.round);
      if (!known) this.#certify(row);
      if (!this.#summed.has(row.round)) this.#checkSum(row);
    }
  }

  /** The certificate in the log is that of the uploads which the cohort's devices sealed. */
  #certify(row: repository.RoundRow): void {
    const { round } = row;
    const { kind } = this.#state(row);
    const cohort = this.cohortOf(row);
    this.#certified.set(round, { round, kind, cohort });
    const { hash: planHash, hashHex } = this.#parsed;
    const binding = {
      planHash,
      round,
      modelHash: fromHex(row.model_hash),
      configHash: fromHex(row.config_hash),
      committeeKeyId: fromHex(row.committee_key_id),
    };
    const digests = this.#digestsOf(round, cohort);
    const leaves = cohort.map((deviceId, i) =>
      entryLeaf({ ...binding, deviceId, digest: fromHex(digests[i]!) }),
    );
    const wanted = `certificate ${toHex(merkleRoot(leaves))} of ${cohort.length}`;
    const logged = this.#endings.get(round);
    this.#observer.check(
      'one-ending-per-round',
      logged === wanted,
      () => `round ${round} of plan ${hashHex.slice(0, 8)} is folded as ${wanted}, the log says ${logged}`,
    );
  }

  #digestsOf(round: number, cohort: readonly string[]): string[] {
    return this.#read((db) =>
      cohort.map((device) => repository.getUpload(db, this.#parsed.hashHex, round, device)?.digest ?? ''),
    );
  }

  #checkSum({ round }: repository.RoundRow): void {
    const sum = this.#read((db) => repository.getSum(db, this.#parsed.hashHex, round));
    if (!sum) return;
    this.#summed.add(round);
    const { cohort, kind } = this.#certified.get(round)!;
    const opened = new Int32Array(sum.digits.slice().buffer);
    const expected = new Array<number>(opened.length).fill(0);
    for (const digest of this.#digestsOf(round, cohort)) {
      const sealed = this.#observer.sealed.get(digest);
      this.#observer.check(
        'sum-is-of-the-certified',
        sealed !== undefined && cohort.includes(sealed.deviceId),
        () => `round ${round}: the certified digest ${digest.slice(0, 12)} was sealed by none of its devices`,
      );
      if (sealed) for (let i = 0; i < expected.length; i++) expected[i]! += sealed.digits[i]!;
    }
    const { scheme } = schemeOf(this.#parsed, kind);
    const reduce = (value: number): number => {
      if (scheme.transport === 'bfv') return this.#parsed.plan.privacy ? centredResidue(value) : value;
      return scheme.wordBits === 16 ? (value << 16) >> 16 : value | 0;
    };
    const wrong = expected.findIndex((value, i) => reduce(value) !== opened[i]);
    this.#observer.check(
      'sum-is-of-the-certified',
      wrong < 0,
      () => `round ${round}: digit ${wrong} opens as ${opened[wrong]}, its cohort sealed ${expected[wrong]}`,
    );
  }

  /** What was acknowledged is on disk, whatever happened since. */
  #checkAcknowledgements(): void {
    for (const { round, deviceId, digest, late } of this.#observer.acknowledgements.values()) {
      if (late) continue;
      const row = this.#read((db) => repository.getUpload(db, this.#parsed.hashHex, round, deviceId));
      this.#observer.check(
        'acknowledged-stays',
        row?.acknowledged === 1 && row.digest === digest,
        () => `round ${round}: the acknowledged upload ${digest.slice(0, 12)} is gone`,
      );
    }
  }

  #checkLedger(): void {
    if (!this.#parsed.plan.privacy) return;
    for (const pseudonym of this.#ledger.pseudonyms()) {
      const { spent, reserved, limit } = this.#ledger.balance(pseudonym);
      this.#observer.check(
        'ledger-within-budget',
        spent + reserved <= limit + SLACK,
        () => `${pseudonym.slice(0, 8)} has spent ${spent} and reserved ${reserved} of ${limit}`,
      );
    }
  }

  /** Charges of the certified rounds that this device is in, at its own order. */
  #owed(device: DeviceProcess, order: number | 'zcdp'): number {
    let owed = 0;
    for (const { cohort, kind } of this.#certified.values())
      if (cohort.includes(device.identity.subjectId))
        owed += realisedCharge(this.#parsed, kind, cohort.length, order);
    return owed;
  }

  async #checkDevice(device: DeviceProcess): Promise<void> {
    if (!this.#parsed.plan.privacy) return;
    const seen = `${device.disk.saves} ${this.#certified.size}`;
    if (this.#checked.get(device.name) === seen) return;
    this.#checked.set(device.name, seen);
    const { budget }: ClientState = await device.disk.loadState();
    const state = budget.person;
    const order = state?.order ?? accountPlan(this.#parsed)!.order;
    const held = (state?.spent ?? 0) + Object.values(state?.reservations ?? {}).reduce((a, b) => a + b, 0);
    const limit = limitOf(order);
    this.#observer.check(
      'device-within-budget',
      held <= limit + SLACK,
      () => `${device.name} holds ${held} of ${limit}`,
    );
    const owed = this.#owed(device, order);
    this.#observer.check(
      'device-charged-enough',
      held >= owed - SLACK,
      () => `${device.name} counts ${held}, its certified rounds cost ${owed}`,
    );
  }

  /** What must hold once nothing moves any more. */
  checkEnd(): void {
    this.#checkCharges();
    this.#checkFates();
    this.#checkReplay();
    const alarms = this.#read((db) => budgetAlarms(db));
    this.#observer.check(
      'no-false-alarm',
      alarms.length === 0,
      () => `the coordinator alarms: ${alarms[0]!.said}`,
    );
  }

  /** Replayed events, balances and certificates agree. */
  #checkCharges(): void {
    const { privacy } = this.#parsed.plan;
    const observer = this.#observer;
    try {
      this.#ledger.verify();
      this.#ledger.replay();
    } catch (error) {
      observer.report(
        'ledger-follows-certificates',
        `the ledger does not replay: ${(error as Error).message}`,
      );
    }
    if (!privacy) return;
    const { order } = accountPlan(this.#parsed)!;
    const owed = new Map<string, number>();
    for (const { round, kind, cohort } of this.#certified.values()) {
      const names = this.#read((db) =>
        repository.pseudonymsOf(db, this.#parsed.hashHex, round, new Set(cohort)),
      );
      for (const name of names)
        owed.set(name, (owed.get(name) ?? 0) + realisedCharge(this.#parsed, kind, cohort.length, order));
    }
    const open = this.rounds.some(({ phase }) => !FINAL_PHASES.includes(phase));
    for (const pseudonym of this.#ledger.pseudonyms()) {
      const { spent, reserved } = this.#ledger.balance(pseudonym);
      const due = owed.get(pseudonym) ?? 0;
      observer.check(
        'ledger-follows-certificates',
        Math.abs(spent - due) <= SLACK && (open || reserved <= SLACK),
        () =>
          `${pseudonym.slice(0, 8)} was charged ${spent} (reserved ${reserved}), its certificates cost ${due}`,
      );
    }
  }

  /** Every acknowledged upload is in its cohort, was rejected by a holder, or lies in an aborted round. */
  #checkFates(): void {
    const phases = new Map(this.rounds.map((row) => [row.round, row.phase]));
    for (const { round, deviceId, late } of this.#observer.acknowledgements.values()) {
      if (late || !FINAL_PHASES.includes(phases.get(round) ?? '') || phases.get(round) === 'aborted')
        continue;
      const cohort = this.#certified.get(round)?.cohort ?? [];
      const verdicts = this.#read((db) =>
        repository.verdictsAbout(db, this.#parsed.hashHex, round, deviceId),
      );
      this.#observer.check(
        'acknowledged-stays',
        cohort.includes(deviceId) || verdicts.some(({ accepted }) => !accepted),
        () => `round ${round}: an acknowledged upload is not in the cohort, and no holder rejected it`,
      );
    }
  }

  /** The log on disk, read again from its start, is the one that was watched growing. */
  #checkReplay(): void {
    try {
      const log = new AppendLog(this.#disk, { origin: LOG_ORIGIN });
      this.#observer.check(
        'log-replays',
        log.size() === this.#tree.size && equalBytes(log.root(), this.#tree.root()),
        () =>
          `${log.size()} leaves with root ${toHex(log.root()).slice(0, 12)}, watched were ${this.#tree.size}`,
      );
    } catch (error) {
      this.#observer.report('log-replays', (error as Error).message);
    }
  }

  /** What decided the run, for comparing two of them: nothing in it depends on keys. */
  summary(): string {
    const rounds = this.rounds.map(
      (row) =>
        `${row.round} ${row.phase} ${this.cohortOf(row)
          .map((id) => this.#indexOf(id))
          .join(',')}`,
    );
    return [...rounds, this.#leaves.map(({ kind }) => kind).join(' ')].join('\n');
  }

  #indexOf(deviceId: string): number {
    return this.#devices.findIndex(({ identity }) => identity.subjectId === deviceId);
  }
}
