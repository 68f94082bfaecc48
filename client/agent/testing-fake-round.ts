/**
 * What the test coordinator keeps of a round and of each call. For client/agent tests. Trusts: nothing.
 */
import type { EncodedRoundConfig, RoundKind } from '../../protos/round-config.ts';
import type { UploadHeader } from './transport.ts';

export interface FakeRound {
  readonly kind: RoundKind;
  config: EncodedRoundConfig;
  committeeKey: Uint8Array;
  signatures: { holderId: string; signature: Uint8Array }[];
  /** What becomes of the device's upload; `open` gives no receipt yet. */
  fate: 'certified' | 'late' | 'rejected' | 'aborted' | 'open';
  upload?: { header: UploadHeader; received: Uint8Array; acknowledged: boolean; late: boolean };
}

/** Every call, in order, with copies of what was sent. */
export interface Sent {
  readonly offset: number;
  readonly data: Uint8Array;
  readonly header: UploadHeader;
}
