// Original file: protos/pulsefold/v1/keyholder.proto

import type { Rejection as _pulsefold_v1_Rejection, Rejection__Output as _pulsefold_v1_Rejection__Output } from '../../pulsefold/v1/Rejection.ts';

export interface AcceptReply {
  'accepted'?: (string)[];
  'rejected'?: (_pulsefold_v1_Rejection)[];
}

export interface AcceptReply__Output {
  'accepted': (string)[];
  'rejected': (_pulsefold_v1_Rejection__Output)[];
}
