// Original file: protos/pulsefold/v1/keyholder.proto

import type { OpenHeader as _pulsefold_v1_OpenHeader, OpenHeader__Output as _pulsefold_v1_OpenHeader__Output } from '../../pulsefold/v1/OpenHeader.ts';
import type { OpenPart as _pulsefold_v1_OpenPart, OpenPart__Output as _pulsefold_v1_OpenPart__Output } from '../../pulsefold/v1/OpenPart.ts';
import type { OpenParts as _pulsefold_v1_OpenParts, OpenParts__Output as _pulsefold_v1_OpenParts__Output } from '../../pulsefold/v1/OpenParts.ts';

export interface OpenRequest {
  'header'?: (_pulsefold_v1_OpenHeader | null);
  'part'?: (_pulsefold_v1_OpenPart | null);
  'parts'?: (_pulsefold_v1_OpenParts | null);
  'message'?: "header"|"part"|"parts";
}

export interface OpenRequest__Output {
  'header'?: (_pulsefold_v1_OpenHeader__Output | null);
  'part'?: (_pulsefold_v1_OpenPart__Output | null);
  'parts'?: (_pulsefold_v1_OpenParts__Output | null);
  'message'?: "header"|"part"|"parts";
}
