// Original file: protos/pulsefold/v1/registrar.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { EnrolReply as _pulsefold_v1_EnrolReply, EnrolReply__Output as _pulsefold_v1_EnrolReply__Output } from '../../pulsefold/v1/EnrolReply.ts';
import type { ForgetReply as _pulsefold_v1_ForgetReply, ForgetReply__Output as _pulsefold_v1_ForgetReply__Output } from '../../pulsefold/v1/ForgetReply.ts';
import type { ForgetRequest as _pulsefold_v1_ForgetRequest, ForgetRequest__Output as _pulsefold_v1_ForgetRequest__Output } from '../../pulsefold/v1/ForgetRequest.ts';
import type { GetRevocationListReply as _pulsefold_v1_GetRevocationListReply, GetRevocationListReply__Output as _pulsefold_v1_GetRevocationListReply__Output } from '../../pulsefold/v1/GetRevocationListReply.ts';
import type { GetRevocationListRequest as _pulsefold_v1_GetRevocationListRequest, GetRevocationListRequest__Output as _pulsefold_v1_GetRevocationListRequest__Output } from '../../pulsefold/v1/GetRevocationListRequest.ts';
import type { RenewRequest as _pulsefold_v1_RenewRequest, RenewRequest__Output as _pulsefold_v1_RenewRequest__Output } from '../../pulsefold/v1/RenewRequest.ts';

export interface RegistrarClient extends grpc.Client {
  Forget(argument: _pulsefold_v1_ForgetRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_ForgetReply__Output>): grpc.ClientUnaryCall;
  Forget(argument: _pulsefold_v1_ForgetRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_ForgetReply__Output>): grpc.ClientUnaryCall;
  Forget(argument: _pulsefold_v1_ForgetRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_ForgetReply__Output>): grpc.ClientUnaryCall;
  Forget(argument: _pulsefold_v1_ForgetRequest, callback: grpc.requestCallback<_pulsefold_v1_ForgetReply__Output>): grpc.ClientUnaryCall;
  forget(argument: _pulsefold_v1_ForgetRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_ForgetReply__Output>): grpc.ClientUnaryCall;
  forget(argument: _pulsefold_v1_ForgetRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_ForgetReply__Output>): grpc.ClientUnaryCall;
  forget(argument: _pulsefold_v1_ForgetRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_ForgetReply__Output>): grpc.ClientUnaryCall;
  forget(argument: _pulsefold_v1_ForgetRequest, callback: grpc.requestCallback<_pulsefold_v1_ForgetReply__Output>): grpc.ClientUnaryCall;
  
  GetRevocationList(argument: _pulsefold_v1_GetRevocationListRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetRevocationListReply__Output>): grpc.ClientUnaryCall;
  GetRevocationList(argument: _pulsefold_v1_GetRevocationListRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_GetRevocationListReply__Output>): grpc.ClientUnaryCall;
  GetRevocationList(argument: _pulsefold_v1_GetRevocationListRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetRevocationListReply__Output>): grpc.ClientUnaryCall;
  GetRevocationList(argument: _pulsefold_v1_GetRevocationListRequest, callback: grpc.requestCallback<_pulsefold_v1_GetRevocationListReply__Output>): grpc.ClientUnaryCall;
  getRevocationList(argument: _pulsefold_v1_GetRevocationListRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetRevocationListReply__Output>): grpc.ClientUnaryCall;
  getRevocationList(argument: _pulsefold_v1_GetRevocationListRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_GetRevocationListReply__Output>): grpc.ClientUnaryCall;
  getRevocationList(argument: _pulsefold_v1_GetRevocationListRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetRevocationListReply__Output>): grpc.ClientUnaryCall;
  getRevocationList(argument: _pulsefold_v1_GetRevocationListRequest, callback: grpc.requestCallback<_pulsefold_v1_GetRevocationListReply__Output>): grpc.ClientUnaryCall;
  
  Renew(argument: _pulsefold_v1_RenewRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_EnrolReply__Output>): grpc.ClientUnaryCall;
  Renew(argument: _pulsefold_v1_RenewRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_EnrolReply__Output>): grpc.ClientUnaryCall;
  Renew(argument: _pulsefold_v1_RenewRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_EnrolReply__Output>): grpc.ClientUnaryCall;
  Renew(argument: _pulsefold_v1_RenewRequest, callback: grpc.requestCallback<_pulsefold_v1_EnrolReply__Output>): grpc.ClientUnaryCall;
  renew(argument: _pulsefold_v1_RenewRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_EnrolReply__Output>): grpc.ClientUnaryCall;
  renew(argument: _pulsefold_v1_RenewRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_EnrolReply__Output>): grpc.ClientUnaryCall;
  renew(argument: _pulsefold_v1_RenewRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_EnrolReply__Output>): grpc.ClientUnaryCall;
  renew(argument: _pulsefold_v1_RenewRequest, callback: grpc.requestCallback<_pulsefold_v1_EnrolReply__Output>): grpc.ClientUnaryCall;
  
}

export interface RegistrarHandlers extends grpc.UntypedServiceImplementation {
  Forget: grpc.handleUnaryCall<_pulsefold_v1_ForgetRequest__Output, _pulsefold_v1_ForgetReply>;
  
  GetRevocationList: grpc.handleUnaryCall<_pulsefold_v1_GetRevocationListRequest__Output, _pulsefold_v1_GetRevocationListReply>;
  
  Renew: grpc.handleUnaryCall<_pulsefold_v1_RenewRequest__Output, _pulsefold_v1_EnrolReply>;
  
}

export interface RegistrarDefinition extends grpc.ServiceDefinition {
  Forget: MethodDefinition<_pulsefold_v1_ForgetRequest, _pulsefold_v1_ForgetReply, _pulsefold_v1_ForgetRequest__Output, _pulsefold_v1_ForgetReply__Output>
  GetRevocationList: MethodDefinition<_pulsefold_v1_GetRevocationListRequest, _pulsefold_v1_GetRevocationListReply, _pulsefold_v1_GetRevocationListRequest__Output, _pulsefold_v1_GetRevocationListReply__Output>
  Renew: MethodDefinition<_pulsefold_v1_RenewRequest, _pulsefold_v1_EnrolReply, _pulsefold_v1_RenewRequest__Output, _pulsefold_v1_EnrolReply__Output>
}
