/**
 * The partition of a certified cohort into groups: asks the holders for their draws, keeps them, cuts the cohort
 * (docs/adr/0030).
 *
 * The draws are asked for once the cohort is certified, of all holders at once; as soon as two holders stand for each of
 * the four values, the groups are fixed. Whoever lies is outvoted, whoever is away is not waited for unless the others
 * disagree. Answers are verified and stored before they are used; a restart goes on with what is stored.
 * Trusts: at most f holders to lie. May be called by: opening.ts.
 */
import { isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import {
  agreedDraws,
  drawValuesBytes,
  partitionOf,
  partitionSeed,
} from '../../crypto/secagg/shares/index.ts';
import { certificateStatement, partitionDrawStatement } from '../../protos/statements.ts';
import type { Draw, HolderPort, OpenPart, OpenRequest } from './holder-port.ts';
import { verifyHolder } from './holder-talk.ts';
import * as repository from './repository.ts';
import type { RoundView } from './round-view.ts';

/** What a holder is sent: the request for an active set with it in, the parts for it. */
export interface DrawCalls {
  requestOf(holder: HolderPort): OpenRequest;
  partsOf(holder: HolderPort): Iterable<OpenPart>;
}

export class Partition {
  readonly #round: RoundView;
  readonly #holders: readonly HolderPort[];
  readonly #calls: DrawCalls;
  #agreement: Promise<void> | null = null;
  #groups: readonly (readonly string[])[] | null = null;

  constructor(round: RoundView, holders: readonly HolderPort[], calls: DrawCalls) {
    this.#round = round;
    this.#holders = holders;
    this.#calls = calls;
  }

  /** The signed draws at hand, by holder. */
  draws(): Draw[] {
    const { services, at } = this.#round;
    return services.store.read('draws', (db) => repository.drawsOf(db, at.planHex, at.round));
  }

  /** P_1 to P_4, or null while no two holders agree on one of them. */
  #agreed(): Uint8Array[] | null {
    const { holderIds } = this.#round.state.terms;
    const answers = this.draws().map(({ holderId, values }) => ({
      holderIndex: holderIds.indexOf(holderId) + 1,
      values,
    }));
    const values = agreedDraws(answers);
    return values.every((value) => value !== null) ? values : null;
  }

  /** Resolves when the partition is fixed. Throws UNAVAILABLE where too few holders answer alike for now. */
  agree(): Promise<void> {
    if (this.#agreed()) return Promise.resolve();
    // Openings of several holders wait for the same answers.
    this.#agreement ??= this.#askAll().finally(() => {
      this.#agreement = null;
    });
    return this.#agreement;
  }

  async #askAll(): Promise<void> {
    const known = new Set(this.draws().map(({ holderId }) => holderId));
    const asked = this.#holders.filter(({ holderId }) => !known.has(holderId));
    const { promise, resolve } = Promise.withResolvers<void>();
    const failures: string[] = [];
    const answers = asked.map(async (holder) => {
      try {
        await this.#ask(holder);
        if (this.#agreed()) resolve();
      } catch (error) {
        failures.push(this.#complain(holder, error));
      }
    });
    await Promise.race([promise, Promise.all(answers)]);
    if (this.#agreed()) return;
    const why = failures.length > 0 ? failures.join(', ') : 'their values differ';
    throw new PulsefoldError('UNAVAILABLE', `no two key holders agree on the partition yet: ${why}`);
  }

  #complain({ holderId }: HolderPort, error: unknown): string {
    const message = isPulsefoldError(error) ? `${error.code}: ${error.message}` : 'no answer';
    const { services, at } = this.#round;
    if (!this.#round.isStopped)
      services.logger.warn({ holderId, stage: 'draw', round: at.round, message }, 'key holder failed');
    return `${holderId} ${isPulsefoldError(error) ? error.code : 'no answer'}`;
  }

  async #ask(holder: HolderPort): Promise<void> {
    const { services, at } = this.#round;
    const { values, signature } = await holder.draw(
      this.#calls.requestOf(holder),
      this.#calls.partsOf(holder),
    );
    if (this.#round.isStopped) return;
    const { holderId } = holder;
    const certificate = certificateStatement(this.#round.certificate());
    verifyHolder(this.#round, holderId, partitionDrawStatement({ certificate, holderId, values }), signature);
    if (values.length !== drawValuesBytes)
      throw new PulsefoldError('MALFORMED_MESSAGE', `a draw has ${drawValuesBytes} bytes`);
    services.store.transaction('keep-draw', (db) =>
      repository.putDraw(db, at.planHex, at.round, { holderId, values, signature }),
    );
  }

  /** The groups of the certified cohort; only once `agree` has resolved. */
  groups(): readonly (readonly string[])[] {
    if (this.#groups) return this.#groups;
    const values = this.#agreed();
    if (!values) throw new PulsefoldError('INTERNAL', 'the partition is not drawn yet');
    const { services, state, scheme } = this.#round;
    const { suite } = services;
    const seed = partitionSeed(suite, certificateStatement(this.#round.certificate()), values);
    this.#groups = partitionOf(suite, seed, state.cohort!, scheme.groups);
    return this.#groups;
  }
}
