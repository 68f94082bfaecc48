// Original file: protos/pulsefold/v1/rounds.proto

import type { HolderSignature as _pulsefold_v1_HolderSignature, HolderSignature__Output as _pulsefold_v1_HolderSignature__Output } from '../../pulsefold/v1/HolderSignature.ts';

export interface Invitation {
  'config'?: (Buffer | Uint8Array | string);
  'committeeKeySignatures'?: (_pulsefold_v1_HolderSignature)[];
  'committeeKey'?: (Buffer | Uint8Array | string);
}

export interface Invitation__Output {
  'config': (Buffer);
  'committeeKeySignatures': (_pulsefold_v1_HolderSignature__Output)[];
  'committeeKey': (Buffer);
}
