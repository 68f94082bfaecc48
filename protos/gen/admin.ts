import type * as grpc from '@grpc/grpc-js';
import type { MessageTypeDefinition } from '@grpc/proto-loader';

import type { AbortRoundReply as _pulsefold_v1_AbortRoundReply, AbortRoundReply__Output as _pulsefold_v1_AbortRoundReply__Output } from './pulsefold/v1/AbortRoundReply.ts';
import type { AbortRoundRequest as _pulsefold_v1_AbortRoundRequest, AbortRoundRequest__Output as _pulsefold_v1_AbortRoundRequest__Output } from './pulsefold/v1/AbortRoundRequest.ts';
import type { AdminClient as _pulsefold_v1_AdminClient, AdminDefinition as _pulsefold_v1_AdminDefinition } from './pulsefold/v1/Admin.ts';
import type { BudgetAlarm as _pulsefold_v1_BudgetAlarm, BudgetAlarm__Output as _pulsefold_v1_BudgetAlarm__Output } from './pulsefold/v1/BudgetAlarm.ts';
import type { GetStatusReply as _pulsefold_v1_GetStatusReply, GetStatusReply__Output as _pulsefold_v1_GetStatusReply__Output } from './pulsefold/v1/GetStatusReply.ts';
import type { GetStatusRequest as _pulsefold_v1_GetStatusRequest, GetStatusRequest__Output as _pulsefold_v1_GetStatusRequest__Output } from './pulsefold/v1/GetStatusRequest.ts';
import type { RoundStatus as _pulsefold_v1_RoundStatus, RoundStatus__Output as _pulsefold_v1_RoundStatus__Output } from './pulsefold/v1/RoundStatus.ts';
import type { SubmitPlanReply as _pulsefold_v1_SubmitPlanReply, SubmitPlanReply__Output as _pulsefold_v1_SubmitPlanReply__Output } from './pulsefold/v1/SubmitPlanReply.ts';
import type { SubmitPlanRequest as _pulsefold_v1_SubmitPlanRequest, SubmitPlanRequest__Output as _pulsefold_v1_SubmitPlanRequest__Output } from './pulsefold/v1/SubmitPlanRequest.ts';
import type { SubmittedApproval as _pulsefold_v1_SubmittedApproval, SubmittedApproval__Output as _pulsefold_v1_SubmittedApproval__Output } from './pulsefold/v1/SubmittedApproval.ts';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  pulsefold: {
    v1: {
      AbortRoundReply: MessageTypeDefinition<_pulsefold_v1_AbortRoundReply, _pulsefold_v1_AbortRoundReply__Output>
      AbortRoundRequest: MessageTypeDefinition<_pulsefold_v1_AbortRoundRequest, _pulsefold_v1_AbortRoundRequest__Output>
      Admin: SubtypeConstructor<typeof grpc.Client, _pulsefold_v1_AdminClient> & { service: _pulsefold_v1_AdminDefinition }
      BudgetAlarm: MessageTypeDefinition<_pulsefold_v1_BudgetAlarm, _pulsefold_v1_BudgetAlarm__Output>
      GetStatusReply: MessageTypeDefinition<_pulsefold_v1_GetStatusReply, _pulsefold_v1_GetStatusReply__Output>
      GetStatusRequest: MessageTypeDefinition<_pulsefold_v1_GetStatusRequest, _pulsefold_v1_GetStatusRequest__Output>
      RoundStatus: MessageTypeDefinition<_pulsefold_v1_RoundStatus, _pulsefold_v1_RoundStatus__Output>
      SubmitPlanReply: MessageTypeDefinition<_pulsefold_v1_SubmitPlanReply, _pulsefold_v1_SubmitPlanReply__Output>
      SubmitPlanRequest: MessageTypeDefinition<_pulsefold_v1_SubmitPlanRequest, _pulsefold_v1_SubmitPlanRequest__Output>
      SubmittedApproval: MessageTypeDefinition<_pulsefold_v1_SubmittedApproval, _pulsefold_v1_SubmittedApproval__Output>
    }
  }
}

