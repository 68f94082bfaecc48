import type * as grpc from '@grpc/grpc-js';
import type { MessageTypeDefinition } from '@grpc/proto-loader';

import type { EnrolReply as _pulsefold_v1_EnrolReply, EnrolReply__Output as _pulsefold_v1_EnrolReply__Output } from './pulsefold/v1/EnrolReply.ts';
import type { EnrolRequest as _pulsefold_v1_EnrolRequest, EnrolRequest__Output as _pulsefold_v1_EnrolRequest__Output } from './pulsefold/v1/EnrolRequest.ts';
import type { EnrolmentClient as _pulsefold_v1_EnrolmentClient, EnrolmentDefinition as _pulsefold_v1_EnrolmentDefinition } from './pulsefold/v1/Enrolment.ts';
import type { ForgetReply as _pulsefold_v1_ForgetReply, ForgetReply__Output as _pulsefold_v1_ForgetReply__Output } from './pulsefold/v1/ForgetReply.ts';
import type { ForgetRequest as _pulsefold_v1_ForgetRequest, ForgetRequest__Output as _pulsefold_v1_ForgetRequest__Output } from './pulsefold/v1/ForgetRequest.ts';
import type { GetRevocationListReply as _pulsefold_v1_GetRevocationListReply, GetRevocationListReply__Output as _pulsefold_v1_GetRevocationListReply__Output } from './pulsefold/v1/GetRevocationListReply.ts';
import type { GetRevocationListRequest as _pulsefold_v1_GetRevocationListRequest, GetRevocationListRequest__Output as _pulsefold_v1_GetRevocationListRequest__Output } from './pulsefold/v1/GetRevocationListRequest.ts';
import type { RegistrarClient as _pulsefold_v1_RegistrarClient, RegistrarDefinition as _pulsefold_v1_RegistrarDefinition } from './pulsefold/v1/Registrar.ts';
import type { RenewRequest as _pulsefold_v1_RenewRequest, RenewRequest__Output as _pulsefold_v1_RenewRequest__Output } from './pulsefold/v1/RenewRequest.ts';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  pulsefold: {
    v1: {
      EnrolReply: MessageTypeDefinition<_pulsefold_v1_EnrolReply, _pulsefold_v1_EnrolReply__Output>
      EnrolRequest: MessageTypeDefinition<_pulsefold_v1_EnrolRequest, _pulsefold_v1_EnrolRequest__Output>
      Enrolment: SubtypeConstructor<typeof grpc.Client, _pulsefold_v1_EnrolmentClient> & { service: _pulsefold_v1_EnrolmentDefinition }
      ForgetReply: MessageTypeDefinition<_pulsefold_v1_ForgetReply, _pulsefold_v1_ForgetReply__Output>
      ForgetRequest: MessageTypeDefinition<_pulsefold_v1_ForgetRequest, _pulsefold_v1_ForgetRequest__Output>
      GetRevocationListReply: MessageTypeDefinition<_pulsefold_v1_GetRevocationListReply, _pulsefold_v1_GetRevocationListReply__Output>
      GetRevocationListRequest: MessageTypeDefinition<_pulsefold_v1_GetRevocationListRequest, _pulsefold_v1_GetRevocationListRequest__Output>
      Registrar: SubtypeConstructor<typeof grpc.Client, _pulsefold_v1_RegistrarClient> & { service: _pulsefold_v1_RegistrarDefinition }
      RenewRequest: MessageTypeDefinition<_pulsefold_v1_RenewRequest, _pulsefold_v1_RenewRequest__Output>
    }
  }
}

