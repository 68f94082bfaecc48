import type * as grpc from '@grpc/grpc-js';
import type { EnumTypeDefinition, MessageTypeDefinition } from '@grpc/proto-loader';

import type { AbortRequest as _pulsefold_v1_AbortRequest, AbortRequest__Output as _pulsefold_v1_AbortRequest__Output } from './pulsefold/v1/AbortRequest.ts';
import type { AcceptReply as _pulsefold_v1_AcceptReply, AcceptReply__Output as _pulsefold_v1_AcceptReply__Output } from './pulsefold/v1/AcceptReply.ts';
import type { AcceptRequest as _pulsefold_v1_AcceptRequest, AcceptRequest__Output as _pulsefold_v1_AcceptRequest__Output } from './pulsefold/v1/AcceptRequest.ts';
import type { CeremonyPart as _pulsefold_v1_CeremonyPart, CeremonyPart__Output as _pulsefold_v1_CeremonyPart__Output } from './pulsefold/v1/CeremonyPart.ts';
import type { CeremonyStepReply as _pulsefold_v1_CeremonyStepReply, CeremonyStepReply__Output as _pulsefold_v1_CeremonyStepReply__Output } from './pulsefold/v1/CeremonyStepReply.ts';
import type { CeremonyStepRequest as _pulsefold_v1_CeremonyStepRequest, CeremonyStepRequest__Output as _pulsefold_v1_CeremonyStepRequest__Output } from './pulsefold/v1/CeremonyStepRequest.ts';
import type { CertifyRequest as _pulsefold_v1_CertifyRequest, CertifyRequest__Output as _pulsefold_v1_CertifyRequest__Output } from './pulsefold/v1/CertifyRequest.ts';
import type { DrawReply as _pulsefold_v1_DrawReply, DrawReply__Output as _pulsefold_v1_DrawReply__Output } from './pulsefold/v1/DrawReply.ts';
import type { Entry as _pulsefold_v1_Entry, Entry__Output as _pulsefold_v1_Entry__Output } from './pulsefold/v1/Entry.ts';
import type { EraseReply as _pulsefold_v1_EraseReply, EraseReply__Output as _pulsefold_v1_EraseReply__Output } from './pulsefold/v1/EraseReply.ts';
import type { EraseRequest as _pulsefold_v1_EraseRequest, EraseRequest__Output as _pulsefold_v1_EraseRequest__Output } from './pulsefold/v1/EraseRequest.ts';
import type { GetHolderInfoReply as _pulsefold_v1_GetHolderInfoReply, GetHolderInfoReply__Output as _pulsefold_v1_GetHolderInfoReply__Output } from './pulsefold/v1/GetHolderInfoReply.ts';
import type { GetHolderInfoRequest as _pulsefold_v1_GetHolderInfoRequest, GetHolderInfoRequest__Output as _pulsefold_v1_GetHolderInfoRequest__Output } from './pulsefold/v1/GetHolderInfoRequest.ts';
import type { KeyHolderClient as _pulsefold_v1_KeyHolderClient, KeyHolderDefinition as _pulsefold_v1_KeyHolderDefinition } from './pulsefold/v1/KeyHolder.ts';
import type { OpenHeader as _pulsefold_v1_OpenHeader, OpenHeader__Output as _pulsefold_v1_OpenHeader__Output } from './pulsefold/v1/OpenHeader.ts';
import type { OpenPart as _pulsefold_v1_OpenPart, OpenPart__Output as _pulsefold_v1_OpenPart__Output } from './pulsefold/v1/OpenPart.ts';
import type { OpenParts as _pulsefold_v1_OpenParts, OpenParts__Output as _pulsefold_v1_OpenParts__Output } from './pulsefold/v1/OpenParts.ts';
import type { OpenReply as _pulsefold_v1_OpenReply, OpenReply__Output as _pulsefold_v1_OpenReply__Output } from './pulsefold/v1/OpenReply.ts';
import type { OpenRequest as _pulsefold_v1_OpenRequest, OpenRequest__Output as _pulsefold_v1_OpenRequest__Output } from './pulsefold/v1/OpenRequest.ts';
import type { PlanApproval as _pulsefold_v1_PlanApproval, PlanApproval__Output as _pulsefold_v1_PlanApproval__Output } from './pulsefold/v1/PlanApproval.ts';
import type { RegisterPlanReply as _pulsefold_v1_RegisterPlanReply, RegisterPlanReply__Output as _pulsefold_v1_RegisterPlanReply__Output } from './pulsefold/v1/RegisterPlanReply.ts';
import type { RegisterPlanRequest as _pulsefold_v1_RegisterPlanRequest, RegisterPlanRequest__Output as _pulsefold_v1_RegisterPlanRequest__Output } from './pulsefold/v1/RegisterPlanRequest.ts';
import type { Rejection as _pulsefold_v1_Rejection, Rejection__Output as _pulsefold_v1_Rejection__Output } from './pulsefold/v1/Rejection.ts';
import type { SealedShare as _pulsefold_v1_SealedShare, SealedShare__Output as _pulsefold_v1_SealedShare__Output } from './pulsefold/v1/SealedShare.ts';
import type { StatementReply as _pulsefold_v1_StatementReply, StatementReply__Output as _pulsefold_v1_StatementReply__Output } from './pulsefold/v1/StatementReply.ts';
import type { StatementSignature as _pulsefold_v1_StatementSignature, StatementSignature__Output as _pulsefold_v1_StatementSignature__Output } from './pulsefold/v1/StatementSignature.ts';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  pulsefold: {
    v1: {
      AbortRequest: MessageTypeDefinition<_pulsefold_v1_AbortRequest, _pulsefold_v1_AbortRequest__Output>
      AcceptReply: MessageTypeDefinition<_pulsefold_v1_AcceptReply, _pulsefold_v1_AcceptReply__Output>
      AcceptRequest: MessageTypeDefinition<_pulsefold_v1_AcceptRequest, _pulsefold_v1_AcceptRequest__Output>
      CeremonyPart: MessageTypeDefinition<_pulsefold_v1_CeremonyPart, _pulsefold_v1_CeremonyPart__Output>
      CeremonyPhase: EnumTypeDefinition
      CeremonyStepReply: MessageTypeDefinition<_pulsefold_v1_CeremonyStepReply, _pulsefold_v1_CeremonyStepReply__Output>
      CeremonyStepRequest: MessageTypeDefinition<_pulsefold_v1_CeremonyStepRequest, _pulsefold_v1_CeremonyStepRequest__Output>
      CertifyRequest: MessageTypeDefinition<_pulsefold_v1_CertifyRequest, _pulsefold_v1_CertifyRequest__Output>
      DrawReply: MessageTypeDefinition<_pulsefold_v1_DrawReply, _pulsefold_v1_DrawReply__Output>
      Entry: MessageTypeDefinition<_pulsefold_v1_Entry, _pulsefold_v1_Entry__Output>
      EraseReply: MessageTypeDefinition<_pulsefold_v1_EraseReply, _pulsefold_v1_EraseReply__Output>
      EraseRequest: MessageTypeDefinition<_pulsefold_v1_EraseRequest, _pulsefold_v1_EraseRequest__Output>
      GetHolderInfoReply: MessageTypeDefinition<_pulsefold_v1_GetHolderInfoReply, _pulsefold_v1_GetHolderInfoReply__Output>
      GetHolderInfoRequest: MessageTypeDefinition<_pulsefold_v1_GetHolderInfoRequest, _pulsefold_v1_GetHolderInfoRequest__Output>
      KeyHolder: SubtypeConstructor<typeof grpc.Client, _pulsefold_v1_KeyHolderClient> & { service: _pulsefold_v1_KeyHolderDefinition }
      OpenHeader: MessageTypeDefinition<_pulsefold_v1_OpenHeader, _pulsefold_v1_OpenHeader__Output>
      OpenPart: MessageTypeDefinition<_pulsefold_v1_OpenPart, _pulsefold_v1_OpenPart__Output>
      OpenParts: MessageTypeDefinition<_pulsefold_v1_OpenParts, _pulsefold_v1_OpenParts__Output>
      OpenReply: MessageTypeDefinition<_pulsefold_v1_OpenReply, _pulsefold_v1_OpenReply__Output>
      OpenRequest: MessageTypeDefinition<_pulsefold_v1_OpenRequest, _pulsefold_v1_OpenRequest__Output>
      PlanApproval: MessageTypeDefinition<_pulsefold_v1_PlanApproval, _pulsefold_v1_PlanApproval__Output>
      RegisterPlanReply: MessageTypeDefinition<_pulsefold_v1_RegisterPlanReply, _pulsefold_v1_RegisterPlanReply__Output>
      RegisterPlanRequest: MessageTypeDefinition<_pulsefold_v1_RegisterPlanRequest, _pulsefold_v1_RegisterPlanRequest__Output>
      Rejection: MessageTypeDefinition<_pulsefold_v1_Rejection, _pulsefold_v1_Rejection__Output>
      SealedShare: MessageTypeDefinition<_pulsefold_v1_SealedShare, _pulsefold_v1_SealedShare__Output>
      StatementReply: MessageTypeDefinition<_pulsefold_v1_StatementReply, _pulsefold_v1_StatementReply__Output>
      StatementSignature: MessageTypeDefinition<_pulsefold_v1_StatementSignature, _pulsefold_v1_StatementSignature__Output>
    }
  }
}

