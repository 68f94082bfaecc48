/**
 * Drives one round machine by hand, with its news and effects in short form: for machine.test.ts.
 */
import {
  advance,
  openRound,
  type RoundEffect,
  type RoundEvent,
  type RoundState,
  type RoundTerms,
} from './machine.ts';

export const HOLDERS = ['h1', 'h2', 'h3', 'h4'];
export const terms: RoundTerms = {
  cohortMin: 3,
  cohortTarget: 5,
  cohortMax: 8,
  checkInWindowMs: 1000,
  deadlineMs: 10_000,
  stragglerMs: 500,
  holderDeadlineMs: 3000,
  holderIds: HOLDERS,
  quorum: 3,
  threshold: 2,
};

export type News = RoundEvent extends infer E ? (E extends RoundEvent ? Omit<E, 'nowMs'> : never) : never;

/** Drives one machine and keeps every effect. */
export class Drive {
  state: RoundState;
  nowMs = 0;
  effects: RoundEffect[] = [];
  constructor(changes: Partial<RoundTerms> = {}) {
    this.state = openRound(1, 'training', { ...terms, ...changes }, 0);
  }
  /** Feeds news; returns the effects of this step in short form. */
  feed(...news: readonly News[]): string[] {
    const all: string[] = [];
    for (const one of news) {
      const step = advance(this.state, { ...one, nowMs: this.nowMs } as RoundEvent);
      this.state = step.state;
      this.effects.push(...step.effects);
      all.push(...step.effects.map(short));
    }
    return all;
  }
  after(ms: number): string[] {
    this.nowMs += ms;
    return this.feed({ type: 'tick' });
  }
  invite(count: number): this {
    for (let i = 1; i <= count; i++) this.feed({ type: 'devices_invited', deviceIds: [`d${i}`] });
    return this;
  }
  upload(count: number): string[] {
    return Array.from({ length: count }, (_, i) =>
      this.feed({ type: 'uploads_acknowledged', deviceIds: [`d${i + 1}`] }),
    ).flat();
  }
  /** To `accepting`, with d1 … d5 frozen. */
  frozen(): this {
    this.invite(5).upload(5);
    return this;
  }
  certifying(): this {
    this.frozen().feed(...['h1', 'h2', 'h3'].map((id) => accepted(id)));
    this.after(1000); // the fourth had its moment
    return this;
  }
  opening(): this {
    this.certifying().feed(...['h1', 'h2', 'h3'].map(signed));
    return this;
  }
}

export const short = (effect: RoundEffect): string => {
  if (effect.type === 'ask') return `${effect.stage} ${effect.holderId}`;
  return effect.type === 'open_sum' ? `open ${effect.activeSet.join(',')}` : effect.type;
};
export const FIVE = ['d1', 'd2', 'd3', 'd4', 'd5'];
export const accepted = (holderId: string, deviceIds: readonly string[] = FIVE): News => ({
  type: 'accepted',
  holderId,
  deviceIds,
});
export const signed = (holderId: string): News => ({ type: 'certificate_signed', holderId });
export const aborts = (holderId: string): News => ({ type: 'abort_signed', holderId });
export const partial = (holderId: string, ...activeSet: number[]): News => ({
  type: 'partial_received',
  holderId,
  activeSet,
});
export const failed = (
  holderId: string,
  stage: 'acceptance' | 'certificate' | 'partial' | 'abort',
): News => ({
  type: 'holder_failed',
  holderId,
  stage,
  message: 'UNAVAILABLE: away',
});
export const everybody = (stage: string) => HOLDERS.map((id) => `${stage} ${id}`);
