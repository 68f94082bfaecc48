/**
 * What the coordinator asks of a key holder, free of transport: gRPC in production, direct calls in simulation.
 *
 * May be called by: coordinator/rounds; implemented by coordinator/grpc/holder-client.ts and experiments/simulation.
 */
import { toHex } from '../../crypto/bytes.ts';
import type { CeremonyPhase } from '../../protos/keyholder-messages.ts';
import type { PlanApproval } from '../../protos/plan.ts';
import type { RoundBinding } from '../../protos/statements.ts';

export type { CeremonyPhase } from '../../protos/keyholder-messages.ts';

export interface CeremonyPart {
  readonly holderId: string;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
}

export interface SealedShare {
  readonly fromHolderId: string;
  readonly toHolderId: string;
  readonly sealed: Uint8Array;
}

export interface CeremonyReply {
  readonly part: CeremonyPart;
  readonly shares: readonly SealedShare[];
  readonly publicKey: Uint8Array;
  readonly keyId: Uint8Array;
  readonly keySignature: Uint8Array;
}

/** One signed upload as the holders see it: never the ciphertext. */
export interface Entry extends RoundBinding {
  readonly certificate: Uint8Array;
  readonly digest: Uint8Array;
  readonly signature: Uint8Array;
  /** Transport shares only, else empty: H(body) and the sealed seeds, which are what a holder accepts. */
  readonly bodyDigest: Uint8Array;
  readonly holderPart: Uint8Array;
}

export interface Acceptance {
  readonly accepted: readonly string[];
  readonly rejected: readonly { readonly deviceId: string; readonly code: string; readonly reason: string }[];
}

export interface StatementSignature {
  readonly holderId: string;
  readonly signature: Uint8Array;
}

/** The form of receipts, log leaves and exports. */
export const hexSignatures = (signatures: readonly StatementSignature[]) =>
  signatures.map(({ holderId, signature }) => ({ holderId, signature: toHex(signature) }));

/** A holder's word on the partition of a grouped round: 96 bytes, crypto/secagg/shares/partition.ts. */
export interface Draw {
  readonly holderId: string;
  readonly values: Uint8Array;
  readonly signature: Uint8Array;
}

export interface OpenRequest extends RoundBinding {
  readonly cohortRoot: Uint8Array;
  readonly cohortCount: number;
  readonly signatures: readonly StatementSignature[];
  readonly activeSet: readonly number[];
  readonly digitCount: number;
  /** What the holders answered to `draw`; empty where the round is one sum. */
  readonly draws: readonly Draw[];
}

export interface OpenPart {
  readonly deviceId: string;
  readonly bodyDigest: Uint8Array;
  readonly holderPart: Uint8Array;
  /** Null where the holder has accepted this device before. */
  readonly entry: Entry | null;
}

export interface PartialOpening {
  readonly holderId: string;
  readonly partial: Uint8Array;
  readonly signature: Uint8Array;
}

export interface HolderPort {
  readonly holderId: string;
  registerPlan(plan: Uint8Array, approvals: readonly PlanApproval[]): Promise<void>;
  ceremonyStep(request: {
    readonly planHash: Uint8Array;
    readonly round: number;
    readonly phase: CeremonyPhase;
    readonly parts: readonly CeremonyPart[];
    readonly shares: readonly SealedShare[];
  }): Promise<CeremonyReply>;
  accept(planHash: Uint8Array, round: number, entries: readonly Entry[]): Promise<Acceptance>;
  certify(
    request: RoundBinding & { readonly cohortRoot: Uint8Array; readonly deviceIds: readonly string[] },
  ): Promise<StatementSignature>;
  abort(planHash: Uint8Array, round: number, reason: string): Promise<StatementSignature>;
  /** Rounds with groups only: the same question as `open`, before it, without draws. */
  draw(request: OpenRequest, parts: Iterable<OpenPart>): Promise<Draw>;
  open(request: OpenRequest, parts: Iterable<OpenPart>): Promise<PartialOpening>;
  erase(planHash: Uint8Array, round: number): Promise<void>;
}
