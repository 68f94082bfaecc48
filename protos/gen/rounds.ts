import type * as grpc from '@grpc/grpc-js';
import type { MessageTypeDefinition } from '@grpc/proto-loader';

import type { Approval as _pulsefold_v1_Approval, Approval__Output as _pulsefold_v1_Approval__Output } from './pulsefold/v1/Approval.ts';
import type { CheckInReply as _pulsefold_v1_CheckInReply, CheckInReply__Output as _pulsefold_v1_CheckInReply__Output } from './pulsefold/v1/CheckInReply.ts';
import type { CheckInRequest as _pulsefold_v1_CheckInRequest, CheckInRequest__Output as _pulsefold_v1_CheckInRequest__Output } from './pulsefold/v1/CheckInRequest.ts';
import type { ConsentReply as _pulsefold_v1_ConsentReply, ConsentReply__Output as _pulsefold_v1_ConsentReply__Output } from './pulsefold/v1/ConsentReply.ts';
import type { ConsentRequest as _pulsefold_v1_ConsentRequest, ConsentRequest__Output as _pulsefold_v1_ConsentRequest__Output } from './pulsefold/v1/ConsentRequest.ts';
import type { EraseDeviceReply as _pulsefold_v1_EraseDeviceReply, EraseDeviceReply__Output as _pulsefold_v1_EraseDeviceReply__Output } from './pulsefold/v1/EraseDeviceReply.ts';
import type { EraseDeviceRequest as _pulsefold_v1_EraseDeviceRequest, EraseDeviceRequest__Output as _pulsefold_v1_EraseDeviceRequest__Output } from './pulsefold/v1/EraseDeviceRequest.ts';
import type { Finished as _pulsefold_v1_Finished, Finished__Output as _pulsefold_v1_Finished__Output } from './pulsefold/v1/Finished.ts';
import type { GetBlobReply as _pulsefold_v1_GetBlobReply, GetBlobReply__Output as _pulsefold_v1_GetBlobReply__Output } from './pulsefold/v1/GetBlobReply.ts';
import type { GetBlobRequest as _pulsefold_v1_GetBlobRequest, GetBlobRequest__Output as _pulsefold_v1_GetBlobRequest__Output } from './pulsefold/v1/GetBlobRequest.ts';
import type { GetPlanReply as _pulsefold_v1_GetPlanReply, GetPlanReply__Output as _pulsefold_v1_GetPlanReply__Output } from './pulsefold/v1/GetPlanReply.ts';
import type { GetPlanRequest as _pulsefold_v1_GetPlanRequest, GetPlanRequest__Output as _pulsefold_v1_GetPlanRequest__Output } from './pulsefold/v1/GetPlanRequest.ts';
import type { GetReceiptReply as _pulsefold_v1_GetReceiptReply, GetReceiptReply__Output as _pulsefold_v1_GetReceiptReply__Output } from './pulsefold/v1/GetReceiptReply.ts';
import type { GetReceiptRequest as _pulsefold_v1_GetReceiptRequest, GetReceiptRequest__Output as _pulsefold_v1_GetReceiptRequest__Output } from './pulsefold/v1/GetReceiptRequest.ts';
import type { GetUploadStateReply as _pulsefold_v1_GetUploadStateReply, GetUploadStateReply__Output as _pulsefold_v1_GetUploadStateReply__Output } from './pulsefold/v1/GetUploadStateReply.ts';
import type { GetUploadStateRequest as _pulsefold_v1_GetUploadStateRequest, GetUploadStateRequest__Output as _pulsefold_v1_GetUploadStateRequest__Output } from './pulsefold/v1/GetUploadStateRequest.ts';
import type { HolderSignature as _pulsefold_v1_HolderSignature, HolderSignature__Output as _pulsefold_v1_HolderSignature__Output } from './pulsefold/v1/HolderSignature.ts';
import type { Invitation as _pulsefold_v1_Invitation, Invitation__Output as _pulsefold_v1_Invitation__Output } from './pulsefold/v1/Invitation.ts';
import type { PutUploadReply as _pulsefold_v1_PutUploadReply, PutUploadReply__Output as _pulsefold_v1_PutUploadReply__Output } from './pulsefold/v1/PutUploadReply.ts';
import type { PutUploadRequest as _pulsefold_v1_PutUploadRequest, PutUploadRequest__Output as _pulsefold_v1_PutUploadRequest__Output } from './pulsefold/v1/PutUploadRequest.ts';
import type { RoundsClient as _pulsefold_v1_RoundsClient, RoundsDefinition as _pulsefold_v1_RoundsDefinition } from './pulsefold/v1/Rounds.ts';
import type { SubjectAccessReply as _pulsefold_v1_SubjectAccessReply, SubjectAccessReply__Output as _pulsefold_v1_SubjectAccessReply__Output } from './pulsefold/v1/SubjectAccessReply.ts';
import type { SubjectAccessRequest as _pulsefold_v1_SubjectAccessRequest, SubjectAccessRequest__Output as _pulsefold_v1_SubjectAccessRequest__Output } from './pulsefold/v1/SubjectAccessRequest.ts';
import type { UploadHeader as _pulsefold_v1_UploadHeader, UploadHeader__Output as _pulsefold_v1_UploadHeader__Output } from './pulsefold/v1/UploadHeader.ts';
import type { Wait as _pulsefold_v1_Wait, Wait__Output as _pulsefold_v1_Wait__Output } from './pulsefold/v1/Wait.ts';
import type { WithdrawReply as _pulsefold_v1_WithdrawReply, WithdrawReply__Output as _pulsefold_v1_WithdrawReply__Output } from './pulsefold/v1/WithdrawReply.ts';
import type { WithdrawRequest as _pulsefold_v1_WithdrawRequest, WithdrawRequest__Output as _pulsefold_v1_WithdrawRequest__Output } from './pulsefold/v1/WithdrawRequest.ts';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  pulsefold: {
    v1: {
      Approval: MessageTypeDefinition<_pulsefold_v1_Approval, _pulsefold_v1_Approval__Output>
      CheckInReply: MessageTypeDefinition<_pulsefold_v1_CheckInReply, _pulsefold_v1_CheckInReply__Output>
      CheckInRequest: MessageTypeDefinition<_pulsefold_v1_CheckInRequest, _pulsefold_v1_CheckInRequest__Output>
      ConsentReply: MessageTypeDefinition<_pulsefold_v1_ConsentReply, _pulsefold_v1_ConsentReply__Output>
      ConsentRequest: MessageTypeDefinition<_pulsefold_v1_ConsentRequest, _pulsefold_v1_ConsentRequest__Output>
      EraseDeviceReply: MessageTypeDefinition<_pulsefold_v1_EraseDeviceReply, _pulsefold_v1_EraseDeviceReply__Output>
      EraseDeviceRequest: MessageTypeDefinition<_pulsefold_v1_EraseDeviceRequest, _pulsefold_v1_EraseDeviceRequest__Output>
      Finished: MessageTypeDefinition<_pulsefold_v1_Finished, _pulsefold_v1_Finished__Output>
      GetBlobReply: MessageTypeDefinition<_pulsefold_v1_GetBlobReply, _pulsefold_v1_GetBlobReply__Output>
      GetBlobRequest: MessageTypeDefinition<_pulsefold_v1_GetBlobRequest, _pulsefold_v1_GetBlobRequest__Output>
      GetPlanReply: MessageTypeDefinition<_pulsefold_v1_GetPlanReply, _pulsefold_v1_GetPlanReply__Output>
      GetPlanRequest: MessageTypeDefinition<_pulsefold_v1_GetPlanRequest, _pulsefold_v1_GetPlanRequest__Output>
      GetReceiptReply: MessageTypeDefinition<_pulsefold_v1_GetReceiptReply, _pulsefold_v1_GetReceiptReply__Output>
      GetReceiptRequest: MessageTypeDefinition<_pulsefold_v1_GetReceiptRequest, _pulsefold_v1_GetReceiptRequest__Output>
      GetUploadStateReply: MessageTypeDefinition<_pulsefold_v1_GetUploadStateReply, _pulsefold_v1_GetUploadStateReply__Output>
      GetUploadStateRequest: MessageTypeDefinition<_pulsefold_v1_GetUploadStateRequest, _pulsefold_v1_GetUploadStateRequest__Output>
      HolderSignature: MessageTypeDefinition<_pulsefold_v1_HolderSignature, _pulsefold_v1_HolderSignature__Output>
      Invitation: MessageTypeDefinition<_pulsefold_v1_Invitation, _pulsefold_v1_Invitation__Output>
      PutUploadReply: MessageTypeDefinition<_pulsefold_v1_PutUploadReply, _pulsefold_v1_PutUploadReply__Output>
      PutUploadRequest: MessageTypeDefinition<_pulsefold_v1_PutUploadRequest, _pulsefold_v1_PutUploadRequest__Output>
      Rounds: SubtypeConstructor<typeof grpc.Client, _pulsefold_v1_RoundsClient> & { service: _pulsefold_v1_RoundsDefinition }
      SubjectAccessReply: MessageTypeDefinition<_pulsefold_v1_SubjectAccessReply, _pulsefold_v1_SubjectAccessReply__Output>
      SubjectAccessRequest: MessageTypeDefinition<_pulsefold_v1_SubjectAccessRequest, _pulsefold_v1_SubjectAccessRequest__Output>
      UploadHeader: MessageTypeDefinition<_pulsefold_v1_UploadHeader, _pulsefold_v1_UploadHeader__Output>
      Wait: MessageTypeDefinition<_pulsefold_v1_Wait, _pulsefold_v1_Wait__Output>
      WithdrawReply: MessageTypeDefinition<_pulsefold_v1_WithdrawReply, _pulsefold_v1_WithdrawReply__Output>
      WithdrawRequest: MessageTypeDefinition<_pulsefold_v1_WithdrawRequest, _pulsefold_v1_WithdrawRequest__Output>
    }
  }
}

