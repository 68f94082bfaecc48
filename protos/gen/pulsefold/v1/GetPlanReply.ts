// Original file: protos/pulsefold/v1/rounds.proto

import type { Approval as _pulsefold_v1_Approval, Approval__Output as _pulsefold_v1_Approval__Output } from '../../pulsefold/v1/Approval.ts';

export interface GetPlanReply {
  'plan'?: (Buffer | Uint8Array | string);
  'approvals'?: (_pulsefold_v1_Approval)[];
  'coordinatorPublicKey'?: (Buffer | Uint8Array | string);
}

export interface GetPlanReply__Output {
  'plan': (Buffer);
  'approvals': (_pulsefold_v1_Approval__Output)[];
  'coordinatorPublicKey': (Buffer);
}
