// Original file: protos/pulsefold/v1/rounds.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { CheckInReply as _pulsefold_v1_CheckInReply, CheckInReply__Output as _pulsefold_v1_CheckInReply__Output } from '../../pulsefold/v1/CheckInReply.ts';
import type { CheckInRequest as _pulsefold_v1_CheckInRequest, CheckInRequest__Output as _pulsefold_v1_CheckInRequest__Output } from '../../pulsefold/v1/CheckInRequest.ts';
import type { ConsentReply as _pulsefold_v1_ConsentReply, ConsentReply__Output as _pulsefold_v1_ConsentReply__Output } from '../../pulsefold/v1/ConsentReply.ts';
import type { ConsentRequest as _pulsefold_v1_ConsentRequest, ConsentRequest__Output as _pulsefold_v1_ConsentRequest__Output } from '../../pulsefold/v1/ConsentRequest.ts';
import type { EraseDeviceReply as _pulsefold_v1_EraseDeviceReply, EraseDeviceReply__Output as _pulsefold_v1_EraseDeviceReply__Output } from '../../pulsefold/v1/EraseDeviceReply.ts';
import type { EraseDeviceRequest as _pulsefold_v1_EraseDeviceRequest, EraseDeviceRequest__Output as _pulsefold_v1_EraseDeviceRequest__Output } from '../../pulsefold/v1/EraseDeviceRequest.ts';
import type { GetBlobReply as _pulsefold_v1_GetBlobReply, GetBlobReply__Output as _pulsefold_v1_GetBlobReply__Output } from '../../pulsefold/v1/GetBlobReply.ts';
import type { GetBlobRequest as _pulsefold_v1_GetBlobRequest, GetBlobRequest__Output as _pulsefold_v1_GetBlobRequest__Output } from '../../pulsefold/v1/GetBlobRequest.ts';
import type { GetPlanReply as _pulsefold_v1_GetPlanReply, GetPlanReply__Output as _pulsefold_v1_GetPlanReply__Output } from '../../pulsefold/v1/GetPlanReply.ts';
import type { GetPlanRequest as _pulsefold_v1_GetPlanRequest, GetPlanRequest__Output as _pulsefold_v1_GetPlanRequest__Output } from '../../pulsefold/v1/GetPlanRequest.ts';
import type { GetReceiptReply as _pulsefold_v1_GetReceiptReply, GetReceiptReply__Output as _pulsefold_v1_GetReceiptReply__Output } from '../../pulsefold/v1/GetReceiptReply.ts';
import type { GetReceiptRequest as _pulsefold_v1_GetReceiptRequest, GetReceiptRequest__Output as _pulsefold_v1_GetReceiptRequest__Output } from '../../pulsefold/v1/GetReceiptRequest.ts';
import type { GetUploadStateReply as _pulsefold_v1_GetUploadStateReply, GetUploadStateReply__Output as _pulsefold_v1_GetUploadStateReply__Output } from '../../pulsefold/v1/GetUploadStateReply.ts';
import type { GetUploadStateRequest as _pulsefold_v1_GetUploadStateRequest, GetUploadStateRequest__Output as _pulsefold_v1_GetUploadStateRequest__Output } from '../../pulsefold/v1/GetUploadStateRequest.ts';
import type { PutUploadReply as _pulsefold_v1_PutUploadReply, PutUploadReply__Output as _pulsefold_v1_PutUploadReply__Output } from '../../pulsefold/v1/PutUploadReply.ts';
import type { PutUploadRequest as _pulsefold_v1_PutUploadRequest, PutUploadRequest__Output as _pulsefold_v1_PutUploadRequest__Output } from '../../pulsefold/v1/PutUploadRequest.ts';
import type { SubjectAccessReply as _pulsefold_v1_SubjectAccessReply, SubjectAccessReply__Output as _pulsefold_v1_SubjectAccessReply__Output } from '../../pulsefold/v1/SubjectAccessReply.ts';
import type { SubjectAccessRequest as _pulsefold_v1_SubjectAccessRequest, SubjectAccessRequest__Output as _pulsefold_v1_SubjectAccessRequest__Output } from '../../pulsefold/v1/SubjectAccessRequest.ts';
import type { WithdrawReply as _pulsefold_v1_WithdrawReply, WithdrawReply__Output as _pulsefold_v1_WithdrawReply__Output } from '../../pulsefold/v1/WithdrawReply.ts';
import type { WithdrawRequest as _pulsefold_v1_WithdrawRequest, WithdrawRequest__Output as _pulsefold_v1_WithdrawRequest__Output } from '../../pulsefold/v1/WithdrawRequest.ts';

export interface RoundsClient extends grpc.Client {
  CheckIn(argument: _pulsefold_v1_CheckInRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_CheckInReply__Output>): grpc.ClientUnaryCall;
  CheckIn(argument: _pulsefold_v1_CheckInRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_CheckInReply__Output>): grpc.ClientUnaryCall;
  CheckIn(argument: _pulsefold_v1_CheckInRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_CheckInReply__Output>): grpc.ClientUnaryCall;
  CheckIn(argument: _pulsefold_v1_CheckInRequest, callback: grpc.requestCallback<_pulsefold_v1_CheckInReply__Output>): grpc.ClientUnaryCall;
  checkIn(argument: _pulsefold_v1_CheckInRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_CheckInReply__Output>): grpc.ClientUnaryCall;
  checkIn(argument: _pulsefold_v1_CheckInRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_CheckInReply__Output>): grpc.ClientUnaryCall;
  checkIn(argument: _pulsefold_v1_CheckInRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_CheckInReply__Output>): grpc.ClientUnaryCall;
  checkIn(argument: _pulsefold_v1_CheckInRequest, callback: grpc.requestCallback<_pulsefold_v1_CheckInReply__Output>): grpc.ClientUnaryCall;
  
  Consent(argument: _pulsefold_v1_ConsentRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_ConsentReply__Output>): grpc.ClientUnaryCall;
  Consent(argument: _pulsefold_v1_ConsentRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_ConsentReply__Output>): grpc.ClientUnaryCall;
  Consent(argument: _pulsefold_v1_ConsentRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_ConsentReply__Output>): grpc.ClientUnaryCall;
  Consent(argument: _pulsefold_v1_ConsentRequest, callback: grpc.requestCallback<_pulsefold_v1_ConsentReply__Output>): grpc.ClientUnaryCall;
  consent(argument: _pulsefold_v1_ConsentRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_ConsentReply__Output>): grpc.ClientUnaryCall;
  consent(argument: _pulsefold_v1_ConsentRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_ConsentReply__Output>): grpc.ClientUnaryCall;
  consent(argument: _pulsefold_v1_ConsentRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_ConsentReply__Output>): grpc.ClientUnaryCall;
  consent(argument: _pulsefold_v1_ConsentRequest, callback: grpc.requestCallback<_pulsefold_v1_ConsentReply__Output>): grpc.ClientUnaryCall;
  
  EraseDevice(argument: _pulsefold_v1_EraseDeviceRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_EraseDeviceReply__Output>): grpc.ClientUnaryCall;
  EraseDevice(argument: _pulsefold_v1_EraseDeviceRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_EraseDeviceReply__Output>): grpc.ClientUnaryCall;
  EraseDevice(argument: _pulsefold_v1_EraseDeviceRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_EraseDeviceReply__Output>): grpc.ClientUnaryCall;
  EraseDevice(argument: _pulsefold_v1_EraseDeviceRequest, callback: grpc.requestCallback<_pulsefold_v1_EraseDeviceReply__Output>): grpc.ClientUnaryCall;
  eraseDevice(argument: _pulsefold_v1_EraseDeviceRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_EraseDeviceReply__Output>): grpc.ClientUnaryCall;
  eraseDevice(argument: _pulsefold_v1_EraseDeviceRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_EraseDeviceReply__Output>): grpc.ClientUnaryCall;
  eraseDevice(argument: _pulsefold_v1_EraseDeviceRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_EraseDeviceReply__Output>): grpc.ClientUnaryCall;
  eraseDevice(argument: _pulsefold_v1_EraseDeviceRequest, callback: grpc.requestCallback<_pulsefold_v1_EraseDeviceReply__Output>): grpc.ClientUnaryCall;
  
  GetBlob(argument: _pulsefold_v1_GetBlobRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetBlobReply__Output>): grpc.ClientUnaryCall;
  GetBlob(argument: _pulsefold_v1_GetBlobRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_GetBlobReply__Output>): grpc.ClientUnaryCall;
  GetBlob(argument: _pulsefold_v1_GetBlobRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetBlobReply__Output>): grpc.ClientUnaryCall;
  GetBlob(argument: _pulsefold_v1_GetBlobRequest, callback: grpc.requestCallback<_pulsefold_v1_GetBlobReply__Output>): grpc.ClientUnaryCall;
  getBlob(argument: _pulsefold_v1_GetBlobRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetBlobReply__Output>): grpc.ClientUnaryCall;
  getBlob(argument: _pulsefold_v1_GetBlobRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_GetBlobReply__Output>): grpc.ClientUnaryCall;
  getBlob(argument: _pulsefold_v1_GetBlobRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetBlobReply__Output>): grpc.ClientUnaryCall;
  getBlob(argument: _pulsefold_v1_GetBlobRequest, callback: grpc.requestCallback<_pulsefold_v1_GetBlobReply__Output>): grpc.ClientUnaryCall;
  
  GetPlan(argument: _pulsefold_v1_GetPlanRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetPlanReply__Output>): grpc.ClientUnaryCall;
  GetPlan(argument: _pulsefold_v1_GetPlanRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_GetPlanReply__Output>): grpc.ClientUnaryCall;
  GetPlan(argument: _pulsefold_v1_GetPlanRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetPlanReply__Output>): grpc.ClientUnaryCall;
  GetPlan(argument: _pulsefold_v1_GetPlanRequest, callback: grpc.requestCallback<_pulsefold_v1_GetPlanReply__Output>): grpc.ClientUnaryCall;
  getPlan(argument: _pulsefold_v1_GetPlanRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetPlanReply__Output>): grpc.ClientUnaryCall;
  getPlan(argument: _pulsefold_v1_GetPlanRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_GetPlanReply__Output>): grpc.ClientUnaryCall;
  getPlan(argument: _pulsefold_v1_GetPlanRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetPlanReply__Output>): grpc.ClientUnaryCall;
  getPlan(argument: _pulsefold_v1_GetPlanRequest, callback: grpc.requestCallback<_pulsefold_v1_GetPlanReply__Output>): grpc.ClientUnaryCall;
  
  GetReceipt(argument: _pulsefold_v1_GetReceiptRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetReceiptReply__Output>): grpc.ClientUnaryCall;
  GetReceipt(argument: _pulsefold_v1_GetReceiptRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_GetReceiptReply__Output>): grpc.ClientUnaryCall;
  GetReceipt(argument: _pulsefold_v1_GetReceiptRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetReceiptReply__Output>): grpc.ClientUnaryCall;
  GetReceipt(argument: _pulsefold_v1_GetReceiptRequest, callback: grpc.requestCallback<_pulsefold_v1_GetReceiptReply__Output>): grpc.ClientUnaryCall;
  getReceipt(argument: _pulsefold_v1_GetReceiptRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetReceiptReply__Output>): grpc.ClientUnaryCall;
  getReceipt(argument: _pulsefold_v1_GetReceiptRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_GetReceiptReply__Output>): grpc.ClientUnaryCall;
  getReceipt(argument: _pulsefold_v1_GetReceiptRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetReceiptReply__Output>): grpc.ClientUnaryCall;
  getReceipt(argument: _pulsefold_v1_GetReceiptRequest, callback: grpc.requestCallback<_pulsefold_v1_GetReceiptReply__Output>): grpc.ClientUnaryCall;
  
  GetUploadState(argument: _pulsefold_v1_GetUploadStateRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetUploadStateReply__Output>): grpc.ClientUnaryCall;
  GetUploadState(argument: _pulsefold_v1_GetUploadStateRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_GetUploadStateReply__Output>): grpc.ClientUnaryCall;
  GetUploadState(argument: _pulsefold_v1_GetUploadStateRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetUploadStateReply__Output>): grpc.ClientUnaryCall;
  GetUploadState(argument: _pulsefold_v1_GetUploadStateRequest, callback: grpc.requestCallback<_pulsefold_v1_GetUploadStateReply__Output>): grpc.ClientUnaryCall;
  getUploadState(argument: _pulsefold_v1_GetUploadStateRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetUploadStateReply__Output>): grpc.ClientUnaryCall;
  getUploadState(argument: _pulsefold_v1_GetUploadStateRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_GetUploadStateReply__Output>): grpc.ClientUnaryCall;
  getUploadState(argument: _pulsefold_v1_GetUploadStateRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_GetUploadStateReply__Output>): grpc.ClientUnaryCall;
  getUploadState(argument: _pulsefold_v1_GetUploadStateRequest, callback: grpc.requestCallback<_pulsefold_v1_GetUploadStateReply__Output>): grpc.ClientUnaryCall;
  
  PutUpload(argument: _pulsefold_v1_PutUploadRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_PutUploadReply__Output>): grpc.ClientUnaryCall;
  PutUpload(argument: _pulsefold_v1_PutUploadRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_PutUploadReply__Output>): grpc.ClientUnaryCall;
  PutUpload(argument: _pulsefold_v1_PutUploadRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_PutUploadReply__Output>): grpc.ClientUnaryCall;
  PutUpload(argument: _pulsefold_v1_PutUploadRequest, callback: grpc.requestCallback<_pulsefold_v1_PutUploadReply__Output>): grpc.ClientUnaryCall;
  putUpload(argument: _pulsefold_v1_PutUploadRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_PutUploadReply__Output>): grpc.ClientUnaryCall;
  putUpload(argument: _pulsefold_v1_PutUploadRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_PutUploadReply__Output>): grpc.ClientUnaryCall;
  putUpload(argument: _pulsefold_v1_PutUploadRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_PutUploadReply__Output>): grpc.ClientUnaryCall;
  putUpload(argument: _pulsefold_v1_PutUploadRequest, callback: grpc.requestCallback<_pulsefold_v1_PutUploadReply__Output>): grpc.ClientUnaryCall;
  
  SubjectAccess(argument: _pulsefold_v1_SubjectAccessRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_SubjectAccessReply__Output>): grpc.ClientUnaryCall;
  SubjectAccess(argument: _pulsefold_v1_SubjectAccessRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_SubjectAccessReply__Output>): grpc.ClientUnaryCall;
  SubjectAccess(argument: _pulsefold_v1_SubjectAccessRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_SubjectAccessReply__Output>): grpc.ClientUnaryCall;
  SubjectAccess(argument: _pulsefold_v1_SubjectAccessRequest, callback: grpc.requestCallback<_pulsefold_v1_SubjectAccessReply__Output>): grpc.ClientUnaryCall;
  subjectAccess(argument: _pulsefold_v1_SubjectAccessRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_SubjectAccessReply__Output>): grpc.ClientUnaryCall;
  subjectAccess(argument: _pulsefold_v1_SubjectAccessRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_SubjectAccessReply__Output>): grpc.ClientUnaryCall;
  subjectAccess(argument: _pulsefold_v1_SubjectAccessRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_SubjectAccessReply__Output>): grpc.ClientUnaryCall;
  subjectAccess(argument: _pulsefold_v1_SubjectAccessRequest, callback: grpc.requestCallback<_pulsefold_v1_SubjectAccessReply__Output>): grpc.ClientUnaryCall;
  
  Withdraw(argument: _pulsefold_v1_WithdrawRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_WithdrawReply__Output>): grpc.ClientUnaryCall;
  Withdraw(argument: _pulsefold_v1_WithdrawRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_WithdrawReply__Output>): grpc.ClientUnaryCall;
  Withdraw(argument: _pulsefold_v1_WithdrawRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_WithdrawReply__Output>): grpc.ClientUnaryCall;
  Withdraw(argument: _pulsefold_v1_WithdrawRequest, callback: grpc.requestCallback<_pulsefold_v1_WithdrawReply__Output>): grpc.ClientUnaryCall;
  withdraw(argument: _pulsefold_v1_WithdrawRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_WithdrawReply__Output>): grpc.ClientUnaryCall;
  withdraw(argument: _pulsefold_v1_WithdrawRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_pulsefold_v1_WithdrawReply__Output>): grpc.ClientUnaryCall;
  withdraw(argument: _pulsefold_v1_WithdrawRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_pulsefold_v1_WithdrawReply__Output>): grpc.ClientUnaryCall;
  withdraw(argument: _pulsefold_v1_WithdrawRequest, callback: grpc.requestCallback<_pulsefold_v1_WithdrawReply__Output>): grpc.ClientUnaryCall;
  
}

export interface RoundsHandlers extends grpc.UntypedServiceImplementation {
  CheckIn: grpc.handleUnaryCall<_pulsefold_v1_CheckInRequest__Output, _pulsefold_v1_CheckInReply>;
  
  Consent: grpc.handleUnaryCall<_pulsefold_v1_ConsentRequest__Output, _pulsefold_v1_ConsentReply>;
  
  EraseDevice: grpc.handleUnaryCall<_pulsefold_v1_EraseDeviceRequest__Output, _pulsefold_v1_EraseDeviceReply>;
  
  GetBlob: grpc.handleUnaryCall<_pulsefold_v1_GetBlobRequest__Output, _pulsefold_v1_GetBlobReply>;
  
  GetPlan: grpc.handleUnaryCall<_pulsefold_v1_GetPlanRequest__Output, _pulsefold_v1_GetPlanReply>;
  
  GetReceipt: grpc.handleUnaryCall<_pulsefold_v1_GetReceiptRequest__Output, _pulsefold_v1_GetReceiptReply>;
  
  GetUploadState: grpc.handleUnaryCall<_pulsefold_v1_GetUploadStateRequest__Output, _pulsefold_v1_GetUploadStateReply>;
  
  PutUpload: grpc.handleUnaryCall<_pulsefold_v1_PutUploadRequest__Output, _pulsefold_v1_PutUploadReply>;
  
  SubjectAccess: grpc.handleUnaryCall<_pulsefold_v1_SubjectAccessRequest__Output, _pulsefold_v1_SubjectAccessReply>;
  
  Withdraw: grpc.handleUnaryCall<_pulsefold_v1_WithdrawRequest__Output, _pulsefold_v1_WithdrawReply>;
  
}

export interface RoundsDefinition extends grpc.ServiceDefinition {
  CheckIn: MethodDefinition<_pulsefold_v1_CheckInRequest, _pulsefold_v1_CheckInReply, _pulsefold_v1_CheckInRequest__Output, _pulsefold_v1_CheckInReply__Output>
  Consent: MethodDefinition<_pulsefold_v1_ConsentRequest, _pulsefold_v1_ConsentReply, _pulsefold_v1_ConsentRequest__Output, _pulsefold_v1_ConsentReply__Output>
  EraseDevice: MethodDefinition<_pulsefold_v1_EraseDeviceRequest, _pulsefold_v1_EraseDeviceReply, _pulsefold_v1_EraseDeviceRequest__Output, _pulsefold_v1_EraseDeviceReply__Output>
  GetBlob: MethodDefinition<_pulsefold_v1_GetBlobRequest, _pulsefold_v1_GetBlobReply, _pulsefold_v1_GetBlobRequest__Output, _pulsefold_v1_GetBlobReply__Output>
  GetPlan: MethodDefinition<_pulsefold_v1_GetPlanRequest, _pulsefold_v1_GetPlanReply, _pulsefold_v1_GetPlanRequest__Output, _pulsefold_v1_GetPlanReply__Output>
  GetReceipt: MethodDefinition<_pulsefold_v1_GetReceiptRequest, _pulsefold_v1_GetReceiptReply, _pulsefold_v1_GetReceiptRequest__Output, _pulsefold_v1_GetReceiptReply__Output>
  GetUploadState: MethodDefinition<_pulsefold_v1_GetUploadStateRequest, _pulsefold_v1_GetUploadStateReply, _pulsefold_v1_GetUploadStateRequest__Output, _pulsefold_v1_GetUploadStateReply__Output>
  PutUpload: MethodDefinition<_pulsefold_v1_PutUploadRequest, _pulsefold_v1_PutUploadReply, _pulsefold_v1_PutUploadRequest__Output, _pulsefold_v1_PutUploadReply__Output>
  SubjectAccess: MethodDefinition<_pulsefold_v1_SubjectAccessRequest, _pulsefold_v1_SubjectAccessReply, _pulsefold_v1_SubjectAccessRequest__Output, _pulsefold_v1_SubjectAccessReply__Output>
  Withdraw: MethodDefinition<_pulsefold_v1_WithdrawRequest, _pulsefold_v1_WithdrawReply, _pulsefold_v1_WithdrawRequest__Output, _pulsefold_v1_WithdrawReply__Output>
}
