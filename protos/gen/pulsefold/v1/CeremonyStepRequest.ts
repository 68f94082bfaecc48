// Original file: protos/pulsefold/v1/keyholder.proto

import type { CeremonyPhase as _pulsefold_v1_CeremonyPhase, CeremonyPhase__Output as _pulsefold_v1_CeremonyPhase__Output } from '../../pulsefold/v1/CeremonyPhase.ts';
import type { CeremonyPart as _pulsefold_v1_CeremonyPart, CeremonyPart__Output as _pulsefold_v1_CeremonyPart__Output } from '../../pulsefold/v1/CeremonyPart.ts';
import type { SealedShare as _pulsefold_v1_SealedShare, SealedShare__Output as _pulsefold_v1_SealedShare__Output } from '../../pulsefold/v1/SealedShare.ts';

export interface CeremonyStepRequest {
  'planHash'?: (Buffer | Uint8Array | string);
  'round'?: (number);
  'phase'?: (_pulsefold_v1_CeremonyPhase);
  'parts'?: (_pulsefold_v1_CeremonyPart)[];
  'shares'?: (_pulsefold_v1_SealedShare)[];
}

export interface CeremonyStepRequest__Output {
  'planHash': (Buffer);
  'round': (number);
  'phase': (_pulsefold_v1_CeremonyPhase__Output);
  'parts': (_pulsefold_v1_CeremonyPart__Output)[];
  'shares': (_pulsefold_v1_SealedShare__Output)[];
}
