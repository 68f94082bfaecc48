// Original file: protos/pulsefold/v1/admin.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { AbortRoundReply as _pulsefold_v1_AbortRoundReply, AbortRoundReply__Output as _pulsefold_v1_AbortRoundReply__Output } from '../../pulsefold/v1/AbortRoundReply.ts';
import type { AbortRoundRequest as _pulsefold_v1_AbortRoundRequest, AbortRoundRequest__Output as _pulsefold_v1_AbortRoundRequest__Output } from '../../pulsefold/v1/AbortRoundRequest.ts';
import type { GetStatusReply as _pulsefold_v1_GetStatusReply, GetStatusReply__Output as _pulsefold_v1_GetStatusReply__Output } from '../../pulsefold/v1/GetStatusReply.ts';
import type { GetStatusRequest as _pulsefold_v1_GetStatusRequest, GetStatusRequest__Output as _pulsefold_v1_GetStatusRequest__Output } from '../../pulsefold/v1/GetStatusRequest.ts';
import type { SubmitPlanReply as _pulsefold_v1_SubmitPlanReply, SubmitPlanReply__Output as _pulsefold_v1_SubmitPlanReply__Output } from '../../pulsefold/v1/SubmitPlanReply.ts';
import type { SubmitPlanRequest as _pulsefold_v1_SubmitPlanRequest, SubmitPlanRequest__Output as _pulsefold_v1_SubmitPlanRequest__Output } from '../../pulsefold/v1/SubmitPlanRequest.ts';

export interface AdminClient extends grpc.Client {
  AbortRound(argument: _pulsefold_v1_AbortRoundRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_AbortRoundReply__Output>): grpc.ClientUnaryCall;
  AbortRound(argument: _pulsefold_v1_AbortRoundRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_AbortRoundReply__Output>): grpc.ClientUnaryCall;
  AbortRound(argument: _pulsefold_v1_AbortRoundRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_AbortRoundReply__Output>): grpc.ClientUnaryCall;
  AbortRound(argument: _pulsefold_v1_AbortRoundRequest, callback: grpc.requestCallback<_pulsefold_v1_AbortRoundReply__Output>): grpc.ClientUnaryCall;
  abortRound(argument: _pulsefold_v1_AbortRoundRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_AbortRoundReply__Output>): grpc.ClientUnaryCall;
  abortRound(argument: _pulsefold_v1_AbortRoundRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_AbortRoundReply__Output>): grpc.ClientUnaryCall;
  abortRound(argument: _pulsefold_v1_AbortRoundRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_AbortRoundReply__Output>): grpc.ClientUnaryCall;
  abortRound(argument: _pulsefold_v1_AbortRoundRequest, callback: grpc.requestCallback<_pulsefold_v1_AbortRoundReply__Output>): grpc.ClientUnaryCall;
  
  GetStatus(argument: _pulsefold_v1_GetStatusRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetStatusReply__Output>): grpc.ClientUnaryCall;
  GetStatus(argument: _pulsefold_v1_GetStatusRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_GetStatusReply__Output>): grpc.ClientUnaryCall;
  GetStatus(argument: _pulsefold_v1_GetStatusRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetStatusReply__Output>): grpc.ClientUnaryCall;
  GetStatus(argument: _pulsefold_v1_GetStatusRequest, callback: grpc.requestCallback<_pulsefold_v1_GetStatusReply__Output>): grpc.ClientUnaryCall;
  getStatus(argument: _pulsefold_v1_GetStatusRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetStatusReply__Output>): grpc.ClientUnaryCall;
  getStatus(argument: _pulsefold_v1_GetStatusRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_GetStatusReply__Output>): grpc.ClientUnaryCall;
  getStatus(argument: _pulsefold_v1_GetStatusRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetStatusReply__Output>): grpc.ClientUnaryCall;
  getStatus(argument: _pulsefold_v1_GetStatusRequest, callback: grpc.requestCallback<_pulsefold_v1_GetStatusReply__Output>): grpc.ClientUnaryCall;
  
  SubmitPlan(argument: _pulsefold_v1_SubmitPlanRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_SubmitPlanReply__Output>): grpc.ClientUnaryCall;
  SubmitPlan(argument: _pulsefold_v1_SubmitPlanRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_SubmitPlanReply__Output>): grpc.ClientUnaryCall;
  SubmitPlan(argument: _pulsefold_v1_SubmitPlanRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_SubmitPlanReply__Output>): grpc.ClientUnaryCall;
  SubmitPlan(argument: _pulsefold_v1_SubmitPlanRequest, callback: grpc.requestCallback<_pulsefold_v1_SubmitPlanReply__Output>): grpc.ClientUnaryCall;
  submitPlan(argument: _pulsefold_v1_SubmitPlanRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_SubmitPlanReply__Output>): grpc.ClientUnaryCall;
  submitPlan(argument: _pulsefold_v1_SubmitPlanRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_SubmitPlanReply__Output>): grpc.ClientUnaryCall;
  submitPlan(argument: _pulsefold_v1_SubmitPlanRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_SubmitPlanReply__Output>): grpc.ClientUnaryCall;
  submitPlan(argument: _pulsefold_v1_SubmitPlanRequest, callback: grpc.requestCallback<_pulsefold_v1_SubmitPlanReply__Output>): grpc.ClientUnaryCall;
  
}

export interface AdminHandlers extends grpc.UntypedServiceImplementation {
  AbortRound: grpc.handleUnaryCall<_pulsefold_v1_AbortRoundRequest__Output, _pulsefold_v1_AbortRoundReply>;
  
  GetStatus: grpc.handleUnaryCall<_pulsefold_v1_GetStatusRequest__Output, _pulsefold_v1_GetStatusReply>;
  
  SubmitPlan: grpc.handleUnaryCall<_pulsefold_v1_SubmitPlanRequest__Output, _pulsefold_v1_SubmitPlanReply>;
  
}

export interface AdminDefinition extends grpc.ServiceDefinition {
  AbortRound: MethodDefinition<_pulsefold_v1_AbortRoundRequest, _pulsefold_v1_AbortRoundReply, _pulsefold_v1_AbortRoundRequest__Output, _pulsefold_v1_AbortRoundReply__Output>
  GetStatus: MethodDefinition<_pulsefold_v1_GetStatusRequest, _pulsefold_v1_GetStatusReply, _pulsefold_v1_GetStatusRequest__Output, _pulsefold_v1_GetStatusReply__Output>
  SubmitPlan: MethodDefinition<_pulsefold_v1_SubmitPlanRequest, _pulsefold_v1_SubmitPlanReply, _pulsefold_v1_SubmitPlanRequest__Output, _pulsefold_v1_SubmitPlanReply__Output>
}
