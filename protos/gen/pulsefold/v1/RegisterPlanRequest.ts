// Original file: protos/pulsefold/v1/keyholder.proto

import type { PlanApproval as _pulsefold_v1_PlanApproval, PlanApproval__Output as _pulsefold_v1_PlanApproval__Output } from '../../pulsefold/v1/PlanApproval.ts';

export interface RegisterPlanRequest {
  'plan'?: (Buffer | Uint8Array | string);
  'approvals'?: (_pulsefold_v1_PlanApproval)[];
}

export interface RegisterPlanRequest__Output {
  'plan': (Buffer);
  'approvals': (_pulsefold_v1_PlanApproval__Output)[];
}
