// Original file: protos/pulsefold/v1/admin.proto

import type { RoundStatus as _pulsefold_v1_RoundStatus, RoundStatus__Output as _pulsefold_v1_RoundStatus__Output } from '../../pulsefold/v1/RoundStatus.ts';

export interface GetStatusReply {
  'planHash'?: (Buffer | Uint8Array | string);
  'planName'?: (string);
  'phase'?: (string);
  'message'?: (string);
  'roundsCompleted'?: (number);
  'roundsPlanned'?: (number);
  'keysReady'?: (number);
  'rounds'?: (_pulsefold_v1_RoundStatus)[];
  'epsilonSpent'?: (string);
  'epsilonAllowed'?: (string);
}

export interface GetStatusReply__Output {
  'planHash': (Buffer);
  'planName': (string);
  'phase': (string);
  'message': (string);
  'roundsCompleted': (number);
  'roundsPlanned': (number);
  'keysReady': (number);
  'rounds': (_pulsefold_v1_RoundStatus__Output)[];
  'epsilonSpent': (string);
  'epsilonAllowed': (string);
}
