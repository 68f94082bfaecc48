/**
 * What a simulation asks of its devices, with identities (agents.ts) or without (fleet.ts).
 *
 * May be called by: experiments/simulation.
 */
import type { RoundState } from '../../coordinator/rounds/machine-types.ts';
import type { RoundKind } from '../../protos/round-config.ts';

/** The round under way, or the last one, as the devices saw it. */
export interface CrowdRound {
  readonly round: number;
  readonly kind: RoundKind;
  readonly openedAtMs: number;
  readonly invited: number;
  /** Uploads that came after the freeze. */
  readonly late: number;
  /** Invited devices that vanished. */
  readonly dropped: number;
  /** Devices whose budget, or whose coordinator's ledger, refused. */
  readonly refused: number;
}

export interface Crowd {
  /** A round as the devices saw it; asked once it has ended, and then forgotten where it is not needed any more. */
  round(round: number): CrowdRound;
  /** To be called with every change of a round, and once more when it has ended. */
  onRoundChange(state: RoundState): void;
  ended(state: RoundState): void;
}
