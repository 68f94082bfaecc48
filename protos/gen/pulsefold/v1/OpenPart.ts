// Original file: protos/pulsefold/v1/keyholder.proto

import type { Entry as _pulsefold_v1_Entry, Entry__Output as _pulsefold_v1_Entry__Output } from '../../pulsefold/v1/Entry.ts';

export interface OpenPart {
  'deviceId'?: (string);
  'bodyDigest'?: (Buffer | Uint8Array | string);
  'offset'?: (number);
  'holderPart'?: (Buffer | Uint8Array | string);
  'entry'?: (_pulsefold_v1_Entry | null);
}

export interface OpenPart__Output {
  'deviceId': (string);
  'bodyDigest': (Buffer);
  'offset': (number);
  'holderPart': (Buffer);
  'entry': (_pulsefold_v1_Entry__Output | null);
}
