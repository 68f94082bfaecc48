// Original file: protos/pulsefold/v1/keyholder.proto

import type { Entry as _pulsefold_v1_Entry, Entry__Output as _pulsefold_v1_Entry__Output } from '../../pulsefold/v1/Entry.ts';

export interface AcceptRequest {
  'planHash'?: (Buffer | Uint8Array | string);
  'round'?: (number);
  'entries'?: (_pulsefold_v1_Entry)[];
}

export interface AcceptRequest__Output {
  'planHash': (Buffer);
  'round': (number);
  'entries': (_pulsefold_v1_Entry__Output)[];
}
