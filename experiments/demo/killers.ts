/**
 * Kills processes in the middle of rounds: the coordinator once in every round, or one host with a quarter of the
 * phones.
 *
 * For: `demo --kill-coordinator`, the phones demo and the e2e runs. Random from the CSPRNG: a crash test with a fixed
 * point tests one point.
 */
import { randomBytes, systemRandom, uniform } from '../../crypto/random.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import type { Deployment } from './deployment.ts';
import type { Hosts, RoundProgress } from './run-once.ts';

/** A round of the demo takes about this long, so a kill may hit any of its phases. */
const DELAY_MS_MAX = 900;
const PHASES = ['collecting', 'accepting', 'certifying', 'opening', 'opened'];

export class CoordinatorKiller {
  readonly #deployment: Deployment;
  readonly #rounds = new Map<number, string>();
  #work: Promise<void> = Promise.resolve();
  #stopped = false;
  /** Phase in which each round was hit, for the report. */
  readonly hits: { round: number; phase: string }[] = [];
  #phase = '';

  constructor(deployment: Deployment) {
    this.#deployment = deployment;
  }

  onRound(round: RoundProgress): void {
    this.#phase = `${round.round}/${round.phase}`;
    if (!this.#rounds.has(round.round)) {
      // Half the rounds are hit by time, half at the moment a random phase begins.
      const byPhase = randomBytes(1)[0]! % 2 === 0;
      const phase = byPhase ? PHASES[randomBytes(1)[0]! % PHASES.length]! : 'time';
      this.#rounds.set(round.round, phase);
      if (phase === 'time') this.#killAfter(round.round, Math.floor(uniform(systemRandom) * DELAY_MS_MAX));
    }
    if (this.#rounds.get(round.round) === round.phase) {
      this.#rounds.set(round.round, 'done');
      this.#killAfter(round.round, Math.floor(uniform(systemRandom) * 30));
    }
  }

  #killAfter(round: number, delayMs: number): void {
    this.#work = this.#work.then(async () => {
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      if (this.#stopped) return;
      this.hits.push({ round, phase: this.#phase });
      await this.#deployment.restartCoordinator();
    });
    this.#work.catch(() => {});
  }

  /** No more kills; waits for a restart under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#work;
  }
}

/** SIGKILLs the last client host once a round has some uploads: its phones vanish for good. */
export class HostKiller {
  readonly #hosts: Hosts;
  readonly #round: number;
  readonly #uploadsMin: number;
  #work: Promise<void> | null = null;

  constructor(hosts: Hosts, parsed: ParsedPlan) {
    this.#hosts = hosts;
    this.#round = Math.min(2, parsed.plan.rounds.training);
    this.#uploadsMin = Math.max(1, Math.floor(parsed.plan.rounds.cohortTarget / 10));
  }

  /** A sentence when it has just struck. */
  onRound(round: RoundProgress): string | null {
    const due =
      round.round >= this.#round && round.phase === 'collecting' && round.uploaded >= this.#uploadsMin;
    if (this.#work || !due) return null;
    const host = this.#hosts.children.at(-1)!;
    this.#work = host.kill();
    return `SIGKILL to ${host.options.name} in round ${round.round} after ${round.uploaded} uploads: its phones are gone`;
  }

  async stop(): Promise<void> {
    await this.#work;
  }
}
