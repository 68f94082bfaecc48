// Original file: protos/pulsefold/v1/admin.proto

import type { SubmittedApproval as _pulsefold_v1_SubmittedApproval, SubmittedApproval__Output as _pulsefold_v1_SubmittedApproval__Output } from '../../pulsefold/v1/SubmittedApproval.ts';

export interface SubmitPlanRequest {
  'plan'?: (Buffer | Uint8Array | string);
  'approvals'?: (_pulsefold_v1_SubmittedApproval)[];
}

export interface SubmitPlanRequest__Output {
  'plan': (Buffer);
  'approvals': (_pulsefold_v1_SubmittedApproval__Output)[];
}
