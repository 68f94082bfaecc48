// Original file: protos/pulsefold/v1/keyholder.proto

import type { CeremonyPart as _pulsefold_v1_CeremonyPart, CeremonyPart__Output as _pulsefold_v1_CeremonyPart__Output } from '../../pulsefold/v1/CeremonyPart.ts';
import type { SealedShare as _pulsefold_v1_SealedShare, SealedShare__Output as _pulsefold_v1_SealedShare__Output } from '../../pulsefold/v1/SealedShare.ts';

export interface CeremonyStepReply {
  'part'?: (_pulsefold_v1_CeremonyPart | null);
  'shares'?: (_pulsefold_v1_SealedShare)[];
  'publicKey'?: (Buffer | Uint8Array | string);
  'keyId'?: (Buffer | Uint8Array | string);
  'keySignature'?: (Buffer | Uint8Array | string);
}

export interface CeremonyStepReply__Output {
  'part': (_pulsefold_v1_CeremonyPart__Output | null);
  'shares': (_pulsefold_v1_SealedShare__Output)[];
  'publicKey': (Buffer);
  'keyId': (Buffer);
  'keySignature': (Buffer);
}
