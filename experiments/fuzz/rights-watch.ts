/**
 * What the observer remembers of people's own requests: what left a device, and what the coordinator has answered.
 *
 * `sent` binds the device from then on, `answered` the coordinator. Trusts: nothing. May be called by: observer.ts,
 * inspections.
 */
import { toHex } from '../../crypto/bytes.ts';
import { type Consent, consentGap, consentRecord } from '../../protos/consent.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { scopesOfPlan } from '../../protos/withdrawal.ts';
import type { Call } from './network.ts';
import type { Observer } from './observer.ts';

/** `settled`: answered, and the coordinator's disk was looked at since. */
type Progress = 'sent' | 'answered' | 'settled';

interface SeenConsent {
  readonly text: string;
  readonly consent: Consent;
  progress: Progress;
  answeredMs: number;
}

interface Leaving {
  /** `*`: everything. */
  readonly scope: string;
  readonly erasure: boolean;
  progress: Progress;
  answeredMs: number;
  /** Uploads that were acknowledged when it was settled: they count as folded. */
  standing: ReadonlySet<string>;
}

export class RightsWatch {
  readonly #observer: Observer;
  readonly #consents = new Map<string, SeenConsent[]>();
  readonly #leavings = new Map<string, Leaving[]>();
  /** Hexadecimal, by link. */
  readonly #pseudonyms = new Map<string, string>();
  /** The plan of a configuration; replaced by the simulation. */
  planOfConfig: (configHex: string) => ParsedPlan | undefined = () => undefined;
  /** The coordinator's clock; replaced by the simulation. */
  clockMs: () => number = () => 0;

  constructor(observer: Observer) {
    this.#observer = observer;
  }

  message(from: 'caller' | 'callee', call: Call, message: unknown): void {
    const { link, method, request } = call;
    if (method === 'checkIn' && from === 'caller')
      this.#pseudonyms.set(link, toHex((message as { pseudonym: Uint8Array }).pseudonym));
    else if (method === 'putUpload' && from === 'caller') this.#uploadLeaves(link, message);
    else if (method === 'consent') this.#consent(link, from, request);
    else if (method === 'withdraw') this.#leave(link, from, (request as { scope: string }).scope, false);
    else if (method === 'eraseDevice') this.#leave(link, from, '*', true);
  }

  #consent(link: string, from: 'caller' | 'callee', request: unknown): void {
    const bytes = (request as { consent: Uint8Array }).consent;
    const text = Buffer.from(bytes).toString('utf8');
    const all = this.#consents.get(link) ?? [];
    this.#consents.set(link, all);
    let seen = all.find((one) => one.text === text);
    if (!seen) {
      seen = { text, consent: consentRecord.parse(bytes), progress: 'sent', answeredMs: 0 };
      all.push(seen);
    }
    if (from === 'callee' && seen.progress === 'sent') this.#answer(seen);
  }

  #leave(link: string, from: 'caller' | 'callee', scope: string, erasure: boolean): void {
    const all = this.#leavings.get(link) ?? [];
    this.#leavings.set(link, all);
    let seen = all.find((one) => one.scope === scope && one.erasure === erasure);
    if (!seen) {
      seen = { scope, erasure, progress: 'sent', answeredMs: 0, standing: new Set() };
      all.push(seen);
    }
    if (from === 'callee' && seen.progress === 'sent') this.#answer(seen);
  }

  #answer(seen: SeenConsent | Leaving): void {
    seen.progress = 'answered';
    seen.answeredMs = this.clockMs();
  }

  /** A device holds itself to what it has said, whatever the coordinator does. */
  #uploadLeaves(link: string, message: unknown): void {
    const { header } = message as { header: { configHash: Uint8Array } };
    const parsed = this.planOfConfig(toHex(header.configHash));
    if (!parsed) return;
    const left = this.leaving(link, parsed, ['sent', 'answered', 'settled']);
    this.#observer.check(
      left?.erasure ? 'erased-stays-out' : 'withdrawn-stays-out',
      left === undefined,
      () => `${link} sends an update after it has ${left?.erasure ? 'asked to be erased' : 'withdrawn'}`,
    );
    if (parsed.plan.consent === undefined) return;
    this.#observer.check(
      'consent-comes-first',
      (this.#consents.get(link) ?? []).length > 0,
      () => `${link} sends an update and has never consented`,
    );
  }

  pseudonymOf(link: string): string | undefined {
    return this.#pseudonyms.get(link);
  }

  /** Why this device is out of the plan, if it is; an erasure before a withdrawal. */
  leaving(link: string, parsed: ParsedPlan, progress: readonly Progress[]): Leaving | undefined {
    const scopes = scopesOfPlan(parsed);
    const all = (this.#leavings.get(link) ?? []).filter(
      (one) => progress.includes(one.progress) && scopes.includes(one.scope),
    );
    return all.find(({ erasure }) => erasure) ?? all[0];
  }

  /** The device may be forgotten already. */
  asksForErasure(link: string): boolean {
    return (this.#leavings.get(link) ?? []).some(({ erasure }) => erasure);
  }

  /** Whether a consent that left the device covers the plan then, and no later one that was taken stands before it. */
  covered(link: string, parsed: ParsedPlan, nowMs: number): boolean {
    const all = this.#consents.get(link) ?? [];
    const newest = (scope: string): number =>
      Math.max(
        0,
        ...all
          .filter(({ consent, progress }) => progress === 'settled' && consent.scope === scope)
          .map(({ consent }) => consent.timeMs),
      );
    return all.some(
      ({ consent }) =>
        consentGap(consent, parsed, nowMs) === undefined && consent.timeMs >= newest(consent.scope),
    );
  }

  /** What the coordinator had taken by then. */
  taken(
    link: string,
    untilMs: number,
  ): { readonly consents: readonly string[]; readonly withdrawals: number } {
    const consents = (this.#consents.get(link) ?? []).filter(
      ({ progress, answeredMs }) => progress !== 'sent' && answeredMs < untilMs,
    );
    const withdrawals = (this.#leavings.get(link) ?? []).filter(
      ({ progress, answeredMs, erasure }) => progress !== 'sent' && answeredMs < untilMs && !erasure,
    );
    return { consents: consents.map(({ text }) => text), withdrawals: withdrawals.length };
  }

  /** What was answered binds from now on. `acknowledged`: uploads by device link. */
  settle(acknowledged: ReadonlyMap<string, ReadonlySet<string>>): void {
    for (const all of this.#consents.values())
      for (const one of all) if (one.progress === 'answered') one.progress = 'settled';
    for (const [link, all] of this.#leavings)
      for (const one of all)
        if (one.progress === 'answered') {
          one.progress = 'settled';
          one.standing = new Set(acknowledged.get(link));
        }
  }
}
