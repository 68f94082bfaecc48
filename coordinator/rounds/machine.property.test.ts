/**
 * Goal: whatever the order of news, failures, lies, lost answers and crashes, the machine keeps its promises; and
 * with three honest holders it always gets to the release.
 *
 * The model of the driver below stores what active-round.ts stores, at the same moments; a crash forgets the rest.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  advance,
  isFinal,
  openRound,
  type RoundEffect,
  type RoundEvent,
  type RoundState,
  type RoundTerms,
  resume,
} from './machine.ts';
import { activeSets } from './selection.ts';

const HOLDERS = ['h1', 'h2', 'h3', 'h4'];
const DEVICES = ['d1', 'd2', 'd3', 'd4', 'd5'];

/** What one of the four does when it is not honest. */
type Fault = 'none' | 'away' | 'rejects' | 'lies';

type Op =
  | { readonly type: 'invite' | 'upload'; readonly device: number }
  | { readonly type: 'jump'; readonly ms: number }
  /** A holder carries out a request; `lost`: its answer does not arrive. `refused`: it does not even get it. */
  | { readonly type: 'serve'; readonly which: number; readonly fate: 'answered' | 'lost' | 'refused' }
  | { readonly type: 'repeat'; readonly which: number }
  | { readonly type: 'work' | 'crash' | 'abort' };

type News = RoundEvent extends infer E ? (E extends RoundEvent ? Omit<E, 'nowMs'> : never) : never;
type Ask = Extract<RoundEffect, { type: 'ask' }>;

class Model {
  state: RoundState;
  nowMs = 0;
  #saved = '';
  readonly #rows = {
    invited: [] as string[],
    uploaded: [] as string[],
    certificate: [] as string[],
    abort: [] as string[],
  };
  readonly #partialRows: Record<string, string[]> = {};
  readonly #statements = new Map<string, 'certificate' | 'abort'>();
  readonly #faulty: string;
  readonly #fault: Fault;
  #pending: Ask[] = [];
  #work: RoundEffect[] = [];
  readonly #heard: News[] = [];
  readonly emitted = new Set<string>();

  constructor(terms: RoundTerms, faulty: string, fault: Fault) {
    this.state = openRound(1, 'training', terms, 0);
    this.#faulty = faulty;
    this.#fault = fault;
    this.#save();
  }

  #save(): void {
    this.#saved = JSON.stringify({ ...this.state, invited: [], uploaded: [] });
  }

  feed(news: News): void {
    const before = this.state;
    const step = advance(before, { ...news, nowMs: this.nowMs } as RoundEvent);
    this.state = step.state;
    this.#heard.push(news);
    if (isFinal(before)) expect(this.state).toBe(before);
    for (const effect of step.effects) this.#check(effect);
    for (const effect of step.effects)
      if (effect.type === 'freeze') {
        this.state = {
          ...this.state,
          uploaded: [...this.#rows.uploaded].sort(),
          candidates: [...this.#rows.uploaded].sort(),
        };
        this.#save();
      }
    if (
      before.phase !== this.state.phase ||
      before.stuck !== this.state.stuck ||
      before.cohort !== this.state.cohort
    )
      this.#save();
    for (const effect of step.effects)
      if (effect.type === 'ask') this.#pending.push(effect);
      else if (effect.type === 'open_sum' || effect.type === 'release') this.#work.push(effect);
  }

  /** The promises, at every effect. */
  #check(effect: RoundEffect): void {
    const { quorum } = this.state.terms;
    if (effect.type === 'freeze') expect(this.emitted.has('freeze')).toBe(false);
    if (effect.type === 'ask' && effect.stage !== 'abort') expect(this.emitted.has('freeze')).toBe(true);
    if (effect.type === 'ask' && effect.stage === 'certificate') expect(this.state.cohort).not.toBeNull();
    if (effect.type === 'settle') expect(this.emitted.has('void')).toBe(false);
    if (effect.type === 'void') expect(this.emitted.has('settle')).toBe(false);
    const opens = effect.type === 'open_sum' || (effect.type === 'ask' && effect.stage === 'partial');
    if (opens || effect.type === 'settle')
      expect(this.#rows.certificate.length).toBeGreaterThanOrEqual(quorum);
    if (opens) expect(this.emitted.has('settle')).toBe(true);
    if (effect.type === 'release') expect(this.emitted.has('sum')).toBe(true);
    // One liar never makes every set fail.
    expect(effect.type).not.toBe('give_up');
    this.emitted.add(effect.type);
  }

  run(op: Op): void {
    if (op.type === 'jump') {
      this.nowMs += op.ms;
      this.feed({ type: 'tick' });
    } else if (op.type === 'invite') this.#invite(DEVICES[op.device]!);
    else if (op.type === 'upload') this.#upload(DEVICES[op.device]!);
    else if (op.type === 'serve') this.#serve(op.which, op.fate);
    else if (op.type === 'repeat' && this.#heard.length > 0)
      this.feed(this.#heard[op.which % this.#heard.length]!);
    else if (op.type === 'work') this.#doWork();
    else if (op.type === 'crash') this.#crash();
    else if (op.type === 'abort') this.feed({ type: 'abort_requested', reason: 'operator' });
  }

  #invite(deviceId: string): void {
    if (this.state.phase !== 'collecting') return;
    if (!this.#rows.invited.includes(deviceId)) this.#rows.invited.push(deviceId);
    this.feed({ type: 'devices_invited', deviceIds: [deviceId] });
  }

  #upload(deviceId: string): void {
    if (this.state.phase !== 'collecting' || !this.#rows.invited.includes(deviceId)) return;
    if (!this.#rows.uploaded.includes(deviceId)) this.#rows.uploaded.push(deviceId);
    this.feed({ type: 'uploads_acknowledged', deviceIds: [deviceId] });
  }

  #serve(which: number, fate: 'answered' | 'lost' | 'refused'): void {
    const [ask] = this.#pending.splice(which % Math.max(1, this.#pending.length), 1);
    if (!ask) return;
    const { holderId, stage } = ask;
    const news = fate === 'refused' ? null : this.#answer(ask);
    if (fate === 'answered' && news) for (const one of news) this.#feedUnlessFailed(one);
    else this.feed({ type: 'holder_failed', holderId, stage, message: 'UNAVAILABLE: no answer' });
  }

  /** What the holder does, durably, and what it answers; null for a refusal. */
  #answer({ holderId, stage, activeSet }: Ask): News[] | null {
    const faulty = holderId === this.#faulty ? this.#fault : 'none';
    if (faulty === 'away') return null;
    if (stage === 'acceptance')
      return [
        {
          type: 'accepted',
          holderId,
          deviceIds: faulty === 'rejects' ? [] : (this.state.candidates ?? []),
        },
      ];
    if (stage === 'partial')
      return this.#servedSets(holderId, activeSet!).map((set) => {
        const key = set.join(',');
        this.#partialRows[key] = [...new Set([...(this.#partialRows[key] ?? []), holderId])];
        return { type: 'partial_received', holderId, activeSet: set };
      });
    if (stage === 'certificate' && faulty === 'rejects') return null;
    if ((this.#statements.get(holderId) ?? stage) !== stage) return null;
    this.#statements.set(holderId, stage);
    if (!this.#rows[stage].includes(holderId)) this.#rows[stage].push(holderId);
    return [{ type: stage === 'certificate' ? 'certificate_signed' : 'abort_signed', holderId }];
  }

  /** Shares (threshold 3): an answer serves every set with its holder in it, as opening.ts says; bfv: the one asked for. */
  #servedSets(holderId: string, activeSet: readonly number[]): (readonly number[])[] {
    const { threshold } = this.state.terms;
    if (threshold === 2) return [activeSet];
    const index = HOLDERS.indexOf(holderId) + 1;
    return activeSets(HOLDERS.length, threshold).filter((set) => set.includes(index));
  }

  /** A set whose answers did not open stays failed, whoever answers for it later. */
  #feedUnlessFailed(news: News): void {
    const failed = (set: readonly number[]) => this.state.partials[set.join(',')]?.length === 0;
    if (news.type !== 'partial_received' || this.state.terms.threshold === 2 || !failed(news.activeSet))
      this.feed(news);
  }

  #doWork(): void {
    const effect = this.#work.shift();
    if (effect?.type === 'release') this.feed({ type: 'released' });
    if (effect?.type !== 'open_sum') return;
    const lied =
      this.#fault === 'lies' && effect.activeSet.some((index) => HOLDERS[index - 1] === this.#faulty);
    if (!lied) this.emitted.add('sum');
    this.feed(lied ? { type: 'opening_failed', activeSet: effect.activeSet } : { type: 'sum_opened' });
  }

  #crash(): void {
    const rows = this.#rows;
    this.state = resume({
      ...(JSON.parse(this.#saved) as RoundState),
      invited: [...rows.invited].sort(),
      uploaded: [...rows.uploaded].sort(),
      certificateSigners: [...rows.certificate],
      abortSigners: [...rows.abort],
      partials: structuredClone(this.#partialRows),
    });
    this.#pending = [];
    this.#work = [];
    // Emitted before the crash does not count as done: effects are idempotent and are asked for again.
    if (this.state.phase === 'collecting') this.emitted.delete('freeze');
    this.feed({ type: 'tick' });
  }

  /** From now on every honest holder answers and nothing crashes. */
  settle(): void {
    for (let i = 0; i < 400 && !isFinal(this.state); i++) {
      while (this.#pending.length > 0) this.#serve(0, 'answered');
      while (this.#work.length > 0) this.#doWork();
      this.run({ type: 'jump', ms: 300 });
    }
  }
}

const op: fc.Arbitrary<Op> = fc.oneof(
  fc.record({ type: fc.constantFrom('invite' as const, 'upload' as const), device: fc.nat(4) }),
  fc.record({ type: fc.constant('jump' as const), ms: fc.constantFrom(0, 50, 300, 1500) }),
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('serve' as const),
      which: fc.nat(7),
      fate: fc.constantFrom('answered' as const, 'answered' as const, 'lost' as const, 'refused' as const),
    }),
  },
  fc.record({ type: fc.constant('repeat' as const), which: fc.nat(40) }),
  { weight: 2, arbitrary: fc.record({ type: fc.constantFrom('work' as const, 'crash' as const) }) },
);
const everybodySends: Op[] = DEVICES.flatMap(
  (_, device) =>
    [
      { type: 'invite', device },
      { type: 'upload', device },
    ] as Op[],
);
const faults = fc.record({
  faulty: fc.constantFrom(...HOLDERS),
  fault: fc.constantFrom<Fault>('none', 'away', 'rejects', 'lies'),
});

const termsOf = (holderDeadlineMs: number, threshold: number): RoundTerms => ({
  cohortMin: 3,
  cohortTarget: 5,
  cohortMax: 8,
  checkInWindowMs: 1000,
  deadlineMs: 60_000,
  stragglerMs: 500,
  holderDeadlineMs,
  holderIds: HOLDERS,
  quorum: 3,
  threshold,
});
/** bfv and shares. */
const thresholds = fc.constantFrom(2, 3);

test('enough uploads and three honest holders: released, through crashes, lost answers and one faulty holder', () => {
  fc.assert(
    fc.property(
      faults,
      fc.array(op, { maxLength: 30 }),
      fc.array(op, { maxLength: 60 }),
      thresholds,
      ({ faulty, fault }, early, late, threshold) => {
        // A holder that rejects everybody may end a round together with one that stays away past the deadline; here
        // the other three do answer in time.
        const model = new Model(termsOf(fault === 'rejects' ? 1e9 : 3000, threshold), faulty, fault);
        for (const one of [...early, ...everybodySends, ...late]) model.run(one);
        model.settle();
        expect(model.state.phase).toBe('released');
        expect([...model.emitted]).toEqual(expect.arrayContaining(['freeze', 'settle', 'sum', 'release']));
      },
    ),
    { numRuns: 400 },
  );
});

test('with aborts at any moment: settled or voided, never both, and never opened without a quorum', () => {
  const ops = fc.oneof(op, fc.constant<Op>({ type: 'abort' }));
  fc.assert(
    fc.property(
      faults,
      fc.array(ops, { maxLength: 80 }),
      thresholds,
      ({ faulty, fault }, story, threshold) => {
        const model = new Model(termsOf(3000, threshold), faulty, fault);
        for (const one of [...everybodySends.slice(0, 8), ...story]) model.run(one);
        model.settle();
        if (model.state.phase === 'aborted') expect(model.emitted.has('settle')).toBe(false);
        if (model.state.phase === 'released') expect(model.emitted.has('void')).toBe(false);
      },
    ),
    { numRuns: 400 },
  );
});
