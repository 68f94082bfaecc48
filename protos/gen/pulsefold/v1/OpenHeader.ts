// Original file: protos/pulsefold/v1/keyholder.proto

import type { StatementSignature as _pulsefold_v1_StatementSignature, StatementSignature__Output as _pulsefold_v1_StatementSignature__Output } from '../../pulsefold/v1/StatementSignature.ts';
import type { DrawReply as _pulsefold_v1_DrawReply, DrawReply__Output as _pulsefold_v1_DrawReply__Output } from '../../pulsefold/v1/DrawReply.ts';

export interface OpenHeader {
  'planHash'?: (Buffer | Uint8Array | string);
  'round'?: (number);
  'modelHash'?: (Buffer | Uint8Array | string);
  'configHash'?: (Buffer | Uint8Array | string);
  'committeeKeyId'?: (Buffer | Uint8Array | string);
  'cohortRoot'?: (Buffer | Uint8Array | string);
  'cohortCount'?: (number);
  'signatures'?: (_pulsefold_v1_StatementSignature)[];
  'activeSet'?: (number)[];
  'digitCount'?: (number);
  'draws'?: (_pulsefold_v1_DrawReply)[];
}

export interface OpenHeader__Output {
  'planHash': (Buffer);
  'round': (number);
  'modelHash': (Buffer);
  'configHash': (Buffer);
  'committeeKeyId': (Buffer);
  'cohortRoot': (Buffer);
  'cohortCount': (number);
  'signatures': (_pulsefold_v1_StatementSignature__Output)[];
  'activeSet': (number)[];
  'digitCount': (number);
  'draws': (_pulsefold_v1_DrawReply__Output)[];
}
