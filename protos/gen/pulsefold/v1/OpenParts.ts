// Original file: protos/pulsefold/v1/keyholder.proto

import type { OpenPart as _pulsefold_v1_OpenPart, OpenPart__Output as _pulsefold_v1_OpenPart__Output } from '../../pulsefold/v1/OpenPart.ts';

export interface OpenParts {
  'parts'?: (_pulsefold_v1_OpenPart)[];
}

export interface OpenParts__Output {
  'parts': (_pulsefold_v1_OpenPart__Output)[];
}
