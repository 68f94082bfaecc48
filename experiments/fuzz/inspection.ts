/**
 * Reads the disks of a simulated deployment, checks them against what the observer saw, after each op.
 *
 * It works from what devices sealed and holders signed, never from what the coordinator computed with them. The parts:
 * plan-inspection.ts (rounds), budget-inspection.ts, rights-inspection.ts; here the log and what was acknowledged.
 * Trusts: nothing. May be called by: experiments/fuzz.
 */
import type { VerifiedReport } from '../../client/agent/subject-access.ts';
import { budgetAlarms } from '../../coordinator/rounds/reconcile.ts';
import * as repository from '../../coordinator/rounds/repository.ts';
import { AppendLog } from '../../coordinator/storage/append-log.ts';
import type { SqliteStore } from '../../coordinator/storage/sqlite-store.ts';
import type { Database } from '../../coordinator/storage/store.ts';
import { equalBytes, toHex } from '../../crypto/bytes.ts';
import { type Leaf, parseLeaf } from '../../crypto/log/leaves.ts';
import { leafHash, MerkleTree } from '../../crypto/log/merkle.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { BudgetInspection } from './budget-inspection.ts';
import { LOG_ORIGIN } from './coordinator-process.ts';
import type { DeviceProcess } from './device-process.ts';
import type { Observer } from './observer.ts';
import { type CertifiedRound, FINAL_PHASES, PlanInspection } from './plan-inspection.ts';
import { RightsInspection } from './rights-inspection.ts';

/** Leaves that a round has one of. */
const ONCE_PER_ROUND = 'ceremony round_opened mechanism opened_sum unopened release'.split(' ');

export interface InspectionParts {
  readonly observer: Observer;
  readonly plans: readonly ParsedPlan[];
  readonly disk: SqliteStore;
  readonly devices: readonly DeviceProcess[];
  /** The coordinator's clock. */
  readonly clockMs: () => number;
}

export class Inspection {
  readonly plans: readonly PlanInspection[];
  readonly budgets: BudgetInspection;
  readonly rights: RightsInspection;
  readonly #parts: InspectionParts;
  readonly #observer: Observer;
  /** The tree of every leaf that was ever on disk. */
  readonly #tree = new MerkleTree();
  readonly #leaves: Leaf[] = [];
  readonly #said = new Set<string>();
  readonly #endings = new Map<string, string>();
  readonly #planOfConfig = new Map<string, repository.RoundKey>();
  #floorMs: number;
  /** From then on the coordinator's clock does not say what came first. */
  #wasSetBack = false;

  constructor(parts: InspectionParts) {
    const { observer, plans, disk, devices, clockMs } = parts;
    this.#parts = parts;
    this.#observer = observer;
    const read = <T>(look: (db: Database) => T): T => this.#read(look);
    this.plans = plans.map(
      (parsed) =>
        new PlanInspection({
          ...{ observer, parsed, read },
          clockMs: () => this.#eventMs(),
          endingOf: (planHex, round) => this.#endings.get(`${planHex}/${round}`),
          isForgotten: (deviceId) => this.#isForgotten(deviceId),
        }),
    );
    const certified = (): CertifiedRound[] => this.plans.flatMap((plan) => plan.certified);
    this.budgets = new BudgetInspection({ observer, plans, disk, devices, certified });
    this.rights = new RightsInspection({ observer, plans: this.plans, devices, read });
    this.#floorMs = clockMs();
    observer.rights.clockMs = () => this.#eventMs();
    observer.rights.planOfConfig = (configHex) => {
      const plan = this.#roundOf(configHex)?.plan;
      return plans.find(({ hashHex }) => hashHex === plan);
    };
    observer.onAcknowledged = (link, configHex, digest, late) => {
      const deviceId = devices[Number(link.slice('device'.length))]!.identity.subjectId;
      const at = this.#roundOf(configHex);
      if (!at) return;
      const { plan: planHex, round } = at;
      const key = `${planHex}/${round}/${deviceId}/${late}`;
      if (observer.acknowledgements.has(key)) return;
      observer.acknowledgements.set(key, { planHex, round, deviceId, digest, late, atMs: this.#eventMs() });
    };
  }

  #roundOf(configHex: string): repository.RoundKey | undefined {
    const known = this.#planOfConfig.get(configHex);
    if (known !== undefined) return known;
    const row = this.#read((db) => repository.roundByConfig(db, configHex));
    if (row) this.#planOfConfig.set(configHex, row);
    return row;
  }

  #read<T>(look: (db: Database) => T): T {
    return this.#parts.disk.read('observer', look);
  }

  #isForgotten(deviceId: string): boolean {
    const device = this.#parts.devices.find(({ identity }) => identity.subjectId === deviceId);
    return device !== undefined && this.#observer.rights.asksForErasure(device.name);
  }

  /** The plan that runs, or the last one. */
  get current(): PlanInspection {
    return this.plans.find((plan) => !plan.isOver) ?? this.plans.at(-1)!;
  }

  /** A clock was set. The coordinator's may have shown any time down to what it shows now. */
  clockWasSet(byMs: number): void {
    this.#floorMs = Math.min(this.#floorMs, this.#parts.clockMs());
    this.#wasSetBack ||= byMs < 0;
  }

  /** When something happened, by the coordinator's clock; never, where that may be after what came later. */
  #eventMs(): number {
    return this.#wasSetBack ? Number.POSITIVE_INFINITY : this.#parts.clockMs();
  }

  /** Everything that must hold at any moment. */
  async check(): Promise<void> {
    this.#checkLog();
    for (const plan of this.plans) plan.check();
    this.#checkAcknowledgements();
    this.rights.check(this.#floorMs);
    this.#floorMs = this.#parts.clockMs();
    await this.budgets.check();
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
    for (const { witness, size, root } of this.#observer.witnessed.take(this.#tree.size))
      this.#observer.check(
        'witness-never-goes-back',
        equalBytes(root, this.#tree.root(size)),
        () => `${witness} has cosigned a tree of ${size} leaves that is not the log's`,
      );
  }

  #noteLeaf(leaf: Leaf): void {
    this.#leaves.push(leaf);
    if (ONCE_PER_ROUND.includes(leaf.kind)) {
      const { planHash, round } = leaf as { planHash: string; round: number };
      const said = `${leaf.kind} ${round} of ${planHash.slice(0, 8)}`;
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
    const key = `${leaf.planHash}/${leaf.round}`;
    const before = this.#endings.get(key);
    this.#observer.check(
      'one-ending-per-round',
      before === undefined,
      () => `the log ends round ${leaf.round} twice: ${before}; ${said}`,
    );
    this.#endings.set(key, said);
  }

  /** What was acknowledged is on disk, whatever happened since; but for who asked to be forgotten. */
  #checkAcknowledgements(): void {
    for (const { planHex, round, deviceId, digest, late } of this.#observer.acknowledgements.values()) {
      if (late) continue;
      const { row, phase } = this.#read((db) => ({
        row: repository.getUpload(db, planHex, round, deviceId),
        phase: repository.roundPhase(db, planHex, round) ?? '',
      }));
      const mayBeGone = FINAL_PHASES.includes(phase) && this.#isForgotten(deviceId);
      this.#observer.check(
        'acknowledged-stays',
        mayBeGone || (row?.acknowledged === 1 && row.digest === digest),
        () => `round ${round}: the acknowledged upload ${digest.slice(0, 12)} is gone`,
      );
    }
  }

  checkReport(device: DeviceProcess, report: VerifiedReport): void {
    this.rights.checkReport(device, report);
  }

  /** What must hold once nothing moves any more. */
  checkEnd(): void {
    const isOpen = this.plans.some((plan) => plan.rounds.some(({ phase }) => !FINAL_PHASES.includes(phase)));
    this.budgets.checkEnd(isOpen);
    for (const plan of this.plans) plan.checkFates();
    this.#checkReplay();
    const alarms = this.#read((db) => budgetAlarms(db));
    this.#observer.check(
      'no-false-alarm',
      alarms.length === 0,
      () => `the coordinator alarms: ${alarms[0]!.said}`,
    );
  }

  /** The log on disk, read again from its start, is the one that was watched growing. */
  #checkReplay(): void {
    try {
      const log = new AppendLog(this.#parts.disk, { origin: LOG_ORIGIN });
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
    const rounds = this.plans.flatMap((plan) =>
      plan.rounds.map(({ round, phase }) => {
        const certified = plan.certified.find((one) => one.round === round);
        const cohort = (certified?.cohort ?? []).map((id) => this.#indexOf(id)).join(',');
        return `${plan.parsed.plan.name} ${round} ${phase} ${cohort}`;
      }),
    );
    return [...rounds, this.#leaves.map(({ kind }) => kind).join(' ')].join('\n');
  }

  #indexOf(deviceId: string): number {
    return this.#parts.devices.findIndex(({ identity }) => identity.subjectId === deviceId);
  }
}
