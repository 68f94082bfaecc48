// Original file: protos/pulsefold/v1/keyholder.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { AbortRequest as _pulsefold_v1_AbortRequest, AbortRequest__Output as _pulsefold_v1_AbortRequest__Output } from '../../pulsefold/v1/AbortRequest.ts';
import type { AcceptReply as _pulsefold_v1_AcceptReply, AcceptReply__Output as _pulsefold_v1_AcceptReply__Output } from '../../pulsefold/v1/AcceptReply.ts';
import type { AcceptRequest as _pulsefold_v1_AcceptRequest, AcceptRequest__Output as _pulsefold_v1_AcceptRequest__Output } from '../../pulsefold/v1/AcceptRequest.ts';
import type { CeremonyStepReply as _pulsefold_v1_CeremonyStepReply, CeremonyStepReply__Output as _pulsefold_v1_CeremonyStepReply__Output } from '../../pulsefold/v1/CeremonyStepReply.ts';
import type { CeremonyStepRequest as _pulsefold_v1_CeremonyStepRequest, CeremonyStepRequest__Output as _pulsefold_v1_CeremonyStepRequest__Output } from '../../pulsefold/v1/CeremonyStepRequest.ts';
import type { CertifyRequest as _pulsefold_v1_CertifyRequest, CertifyRequest__Output as _pulsefold_v1_CertifyRequest__Output } from '../../pulsefold/v1/CertifyRequest.ts';
import type { DrawReply as _pulsefold_v1_DrawReply, DrawReply__Output as _pulsefold_v1_DrawReply__Output } from '../../pulsefold/v1/DrawReply.ts';
import type { EraseReply as _pulsefold_v1_EraseReply, EraseReply__Output as _pulsefold_v1_EraseReply__Output } from '../../pulsefold/v1/EraseReply.ts';
import type { EraseRequest as _pulsefold_v1_EraseRequest, EraseRequest__Output as _pulsefold_v1_EraseRequest__Output } from '../../pulsefold/v1/EraseRequest.ts';
import type { GetHolderInfoReply as _pulsefold_v1_GetHolderInfoReply, GetHolderInfoReply__Output as _pulsefold_v1_GetHolderInfoReply__Output } from '../../pulsefold/v1/GetHolderInfoReply.ts';
import type { GetHolderInfoRequest as _pulsefold_v1_GetHolderInfoRequest, GetHolderInfoRequest__Output as _pulsefold_v1_GetHolderInfoRequest__Output } from '../../pulsefold/v1/GetHolderInfoRequest.ts';
import type { OpenReply as _pulsefold_v1_OpenReply, OpenReply__Output as _pulsefold_v1_OpenReply__Output } from '../../pulsefold/v1/OpenReply.ts';
import type { OpenRequest as _pulsefold_v1_OpenRequest, OpenRequest__Output as _pulsefold_v1_OpenRequest__Output } from '../../pulsefold/v1/OpenRequest.ts';
import type { RegisterPlanReply as _pulsefold_v1_RegisterPlanReply, RegisterPlanReply__Output as _pulsefold_v1_RegisterPlanReply__Output } from '../../pulsefold/v1/RegisterPlanReply.ts';
import type { RegisterPlanRequest as _pulsefold_v1_RegisterPlanRequest, RegisterPlanRequest__Output as _pulsefold_v1_RegisterPlanRequest__Output } from '../../pulsefold/v1/RegisterPlanRequest.ts';
import type { StatementReply as _pulsefold_v1_StatementReply, StatementReply__Output as _pulsefold_v1_StatementReply__Output } from '../../pulsefold/v1/StatementReply.ts';

export interface KeyHolderClient extends grpc.Client {
  Abort(argument: _pulsefold_v1_AbortRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_StatementReply__Output>): grpc.ClientUnaryCall;
  Abort(argument: _pulsefold_v1_AbortRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_StatementReply__Output>): grpc.ClientUnaryCall;
  Abort(argument: _pulsefold_v1_AbortRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_StatementReply__Output>): grpc.ClientUnaryCall;
  Abort(argument: _pulsefold_v1_AbortRequest, callback: grpc.requestCallback<_pulsefold_v1_StatementReply__Output>): grpc.ClientUnaryCall;
  abort(argument: _pulsefold_v1_AbortRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_StatementReply__Output>): grpc.ClientUnaryCall;
  abort(argument: _pulsefold_v1_AbortRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_StatementReply__Output>): grpc.ClientUnaryCall;
  abort(argument: _pulsefold_v1_AbortRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_StatementReply__Output>): grpc.ClientUnaryCall;
  abort(argument: _pulsefold_v1_AbortRequest, callback: grpc.requestCallback<_pulsefold_v1_StatementReply__Output>): grpc.ClientUnaryCall;
  
  Accept(argument: _pulsefold_v1_AcceptRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_AcceptReply__Output>): grpc.ClientUnaryCall;
  Accept(argument: _pulsefold_v1_AcceptRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_AcceptReply__Output>): grpc.ClientUnaryCall;
  Accept(argument: _pulsefold_v1_AcceptRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_AcceptReply__Output>): grpc.ClientUnaryCall;
  Accept(argument: _pulsefold_v1_AcceptRequest, callback: grpc.requestCallback<_pulsefold_v1_AcceptReply__Output>): grpc.ClientUnaryCall;
  accept(argument: _pulsefold_v1_AcceptRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_AcceptReply__Output>): grpc.ClientUnaryCall;
  accept(argument: _pulsefold_v1_AcceptRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_AcceptReply__Output>): grpc.ClientUnaryCall;
  accept(argument: _pulsefold_v1_AcceptRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_AcceptReply__Output>): grpc.ClientUnaryCall;
  accept(argument: _pulsefold_v1_AcceptRequest, callback: grpc.requestCallback<_pulsefold_v1_AcceptReply__Output>): grpc.ClientUnaryCall;
  
  CeremonyStep(argument: _pulsefold_v1_CeremonyStepRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_CeremonyStepReply__Output>): grpc.ClientUnaryCall;
  CeremonyStep(argument: _pulsefold_v1_CeremonyStepRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_CeremonyStepReply__Output>): grpc.ClientUnaryCall;
  CeremonyStep(argument: _pulsefold_v1_CeremonyStepRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_CeremonyStepReply__Output>): grpc.ClientUnaryCall;
  CeremonyStep(argument: _pulsefold_v1_CeremonyStepRequest, callback: grpc.requestCallback<_pulsefold_v1_CeremonyStepReply__Output>): grpc.ClientUnaryCall;
  ceremonyStep(argument: _pulsefold_v1_CeremonyStepRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_CeremonyStepReply__Output>): grpc.ClientUnaryCall;
  ceremonyStep(argument: _pulsefold_v1_CeremonyStepRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_CeremonyStepReply__Output>): grpc.ClientUnaryCall;
  ceremonyStep(argument: _pulsefold_v1_CeremonyStepRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_CeremonyStepReply__Output>): grpc.ClientUnaryCall;
  ceremonyStep(argument: _pulsefold_v1_CeremonyStepRequest, callback: grpc.requestCallback<_pulsefold_v1_CeremonyStepReply__Output>): grpc.ClientUnaryCall;
  
  Certify(argument: _pulsefold_v1_CertifyRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_StatementReply__Output>): grpc.ClientUnaryCall;
  Certify(argument: _pulsefold_v1_CertifyRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_StatementReply__Output>): grpc.ClientUnaryCall;
  Certify(argument: _pulsefold_v1_CertifyRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_StatementReply__Output>): grpc.ClientUnaryCall;
  Certify(argument: _pulsefold_v1_CertifyRequest, callback: grpc.requestCallback<_pulsefold_v1_StatementReply__Output>): grpc.ClientUnaryCall;
  certify(argument: _pulsefold_v1_CertifyRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_StatementReply__Output>): grpc.ClientUnaryCall;
  certify(argument: _pulsefold_v1_CertifyRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_StatementReply__Output>): grpc.ClientUnaryCall;
  certify(argument: _pulsefold_v1_CertifyRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_StatementReply__Output>): grpc.ClientUnaryCall;
  certify(argument: _pulsefold_v1_CertifyRequest, callback: grpc.requestCallback<_pulsefold_v1_StatementReply__Output>): grpc.ClientUnaryCall;
  
  Draw(metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_DrawReply__Output>): grpc.ClientWritableStream<_pulsefold_v1_OpenRequest>;
  Draw(metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_DrawReply__Output>): grpc.ClientWritableStream<_pulsefold_v1_OpenRequest>;
  Draw(options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_DrawReply__Output>): grpc.ClientWritableStream<_pulsefold_v1_OpenRequest>;
  Draw(callback: grpc.requestCallback<_pulsefold_v1_DrawReply__Output>): grpc.ClientWritableStream<_pulsefold_v1_OpenRequest>;
  draw(metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_DrawReply__Output>): grpc.ClientWritableStream<_pulsefold_v1_OpenRequest>;
  draw(metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_DrawReply__Output>): grpc.ClientWritableStream<_pulsefold_v1_OpenRequest>;
  draw(options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_DrawReply__Output>): grpc.ClientWritableStream<_pulsefold_v1_OpenRequest>;
  draw(callback: grpc.requestCallback<_pulsefold_v1_DrawReply__Output>): grpc.ClientWritableStream<_pulsefold_v1_OpenRequest>;
  
  Erase(argument: _pulsefold_v1_EraseRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_EraseReply__Output>): grpc.ClientUnaryCall;
  Erase(argument: _pulsefold_v1_EraseRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_EraseReply__Output>): grpc.ClientUnaryCall;
  Erase(argument: _pulsefold_v1_EraseRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_EraseReply__Output>): grpc.ClientUnaryCall;
  Erase(argument: _pulsefold_v1_EraseRequest, callback: grpc.requestCallback<_pulsefold_v1_EraseReply__Output>): grpc.ClientUnaryCall;
  erase(argument: _pulsefold_v1_EraseRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_EraseReply__Output>): grpc.ClientUnaryCall;
  erase(argument: _pulsefold_v1_EraseRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_EraseReply__Output>): grpc.ClientUnaryCall;
  erase(argument: _pulsefold_v1_EraseRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_EraseReply__Output>): grpc.ClientUnaryCall;
  erase(argument: _pulsefold_v1_EraseRequest, callback: grpc.requestCallback<_pulsefold_v1_EraseReply__Output>): grpc.ClientUnaryCall;
  
  GetHolderInfo(argument: _pulsefold_v1_GetHolderInfoRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetHolderInfoReply__Output>): grpc.ClientUnaryCall;
  GetHolderInfo(argument: _pulsefold_v1_GetHolderInfoRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_GetHolderInfoReply__Output>): grpc.ClientUnaryCall;
  GetHolderInfo(argument: _pulsefold_v1_GetHolderInfoRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetHolderInfoReply__Output>): grpc.ClientUnaryCall;
  GetHolderInfo(argument: _pulsefold_v1_GetHolderInfoRequest, callback: grpc.requestCallback<_pulsefold_v1_GetHolderInfoReply__Output>): grpc.ClientUnaryCall;
  getHolderInfo(argument: _pulsefold_v1_GetHolderInfoRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetHolderInfoReply__Output>): grpc.ClientUnaryCall;
  getHolderInfo(argument: _pulsefold_v1_GetHolderInfoRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_GetHolderInfoReply__Output>): grpc.ClientUnaryCall;
  getHolderInfo(argument: _pulsefold_v1_GetHolderInfoRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetHolderInfoReply__Output>): grpc.ClientUnaryCall;
  getHolderInfo(argument: _pulsefold_v1_GetHolderInfoRequest, callback: grpc.requestCallback<_pulsefold_v1_GetHolderInfoReply__Output>): grpc.ClientUnaryCall;
  
  Open(metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_OpenReply__Output>): grpc.ClientWritableStream<_pulsefold_v1_OpenRequest>;
  Open(metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_OpenReply__Output>): grpc.ClientWritableStream<_pulsefold_v1_OpenRequest>;
  Open(options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_OpenReply__Output>): grpc.ClientWritableStream<_pulsefold_v1_OpenRequest>;
  Open(callback: grpc.requestCallback<_pulsefold_v1_OpenReply__Output>): grpc.ClientWritableStream<_pulsefold_v1_OpenRequest>;
  open(metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_OpenReply__Output>): grpc.ClientWritableStream<_pulsefold_v1_OpenRequest>;
  open(metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_OpenReply__Output>): grpc.ClientWritableStream<_pulsefold_v1_OpenRequest>;
  open(options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_OpenReply__Output>): grpc.ClientWritableStream<_pulsefold_v1_OpenRequest>;
  open(callback: grpc.requestCallback<_pulsefold_v1_OpenReply__Output>): grpc.ClientWritableStream<_pulsefold_v1_OpenRequest>;
  
  RegisterPlan(argument: _pulsefold_v1_RegisterPlanRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_RegisterPlanReply__Output>): grpc.ClientUnaryCall;
  RegisterPlan(argument: _pulsefold_v1_RegisterPlanRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_RegisterPlanReply__Output>): grpc.ClientUnaryCall;
  RegisterPlan(argument: _pulsefold_v1_RegisterPlanRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_RegisterPlanReply__Output>): grpc.ClientUnaryCall;
  RegisterPlan(argument: _pulsefold_v1_RegisterPlanRequest, callback: grpc.requestCallback<_pulsefold_v1_RegisterPlanReply__Output>): grpc.ClientUnaryCall;
  registerPlan(argument: _pulsefold_v1_RegisterPlanRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_RegisterPlanReply__Output>): grpc.ClientUnaryCall;
  registerPlan(argument: _pulsefold_v1_RegisterPlanRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_RegisterPlanReply__Output>): grpc.ClientUnaryCall;
  registerPlan(argument: _pulsefold_v1_RegisterPlanRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_RegisterPlanReply__Output>): grpc.ClientUnaryCall;
  registerPlan(argument: _pulsefold_v1_RegisterPlanRequest, callback: grpc.requestCallback<_pulsefold_v1_RegisterPlanReply__Output>): grpc.ClientUnaryCall;
  
}

export interface KeyHolderHandlers extends grpc.UntypedServiceImplementation {
  Abort: grpc.handleUnaryCall<_pulsefold_v1_AbortRequest__Output, _pulsefold_v1_StatementReply>;
  
  Accept: grpc.handleUnaryCall<_pulsefold_v1_AcceptRequest__Output, _pulsefold_v1_AcceptReply>;
  
  CeremonyStep: grpc.handleUnaryCall<_pulsefold_v1_CeremonyStepRequest__Output, _pulsefold_v1_CeremonyStepReply>;
  
  Certify: grpc.handleUnaryCall<_pulsefold_v1_CertifyRequest__Output, _pulsefold_v1_StatementReply>;
  
  Draw: grpc.handleClientStreamingCall<_pulsefold_v1_OpenRequest__Output, _pulsefold_v1_DrawReply>;
  
  Erase: grpc.handleUnaryCall<_pulsefold_v1_EraseRequest__Output, _pulsefold_v1_EraseReply>;
  
  GetHolderInfo: grpc.handleUnaryCall<_pulsefold_v1_GetHolderInfoRequest__Output, _pulsefold_v1_GetHolderInfoReply>;
  
  Open: grpc.handleClientStreamingCall<_pulsefold_v1_OpenRequest__Output, _pulsefold_v1_OpenReply>;
  
  RegisterPlan: grpc.handleUnaryCall<_pulsefold_v1_RegisterPlanRequest__Output, _pulsefold_v1_RegisterPlanReply>;
  
}

export interface KeyHolderDefinition extends grpc.ServiceDefinition {
  Abort: MethodDefinition<_pulsefold_v1_AbortRequest, _pulsefold_v1_StatementReply, _pulsefold_v1_AbortRequest__Output, _pulsefold_v1_StatementReply__Output>
  Accept: MethodDefinition<_pulsefold_v1_AcceptRequest, _pulsefold_v1_AcceptReply, _pulsefold_v1_AcceptRequest__Output, _pulsefold_v1_AcceptReply__Output>
  CeremonyStep: MethodDefinition<_pulsefold_v1_CeremonyStepRequest, _pulsefold_v1_CeremonyStepReply, _pulsefold_v1_CeremonyStepRequest__Output, _pulsefold_v1_CeremonyStepReply__Output>
  Certify: MethodDefinition<_pulsefold_v1_CertifyRequest, _pulsefold_v1_StatementReply, _pulsefold_v1_CertifyRequest__Output, _pulsefold_v1_StatementReply__Output>
  Draw: MethodDefinition<_pulsefold_v1_OpenRequest, _pulsefold_v1_DrawReply, _pulsefold_v1_OpenRequest__Output, _pulsefold_v1_DrawReply__Output>
  Erase: MethodDefinition<_pulsefold_v1_EraseRequest, _pulsefold_v1_EraseReply, _pulsefold_v1_EraseRequest__Output, _pulsefold_v1_EraseReply__Output>
  GetHolderInfo: MethodDefinition<_pulsefold_v1_GetHolderInfoRequest, _pulsefold_v1_GetHolderInfoReply, _pulsefold_v1_GetHolderInfoRequest__Output, _pulsefold_v1_GetHolderInfoReply__Output>
  Open: MethodDefinition<_pulsefold_v1_OpenRequest, _pulsefold_v1_OpenReply, _pulsefold_v1_OpenRequest__Output, _pulsefold_v1_OpenReply__Output>
  RegisterPlan: MethodDefinition<_pulsefold_v1_RegisterPlanRequest, _pulsefold_v1_RegisterPlanReply, _pulsefold_v1_RegisterPlanRequest__Output, _pulsefold_v1_RegisterPlanReply__Output>
}
