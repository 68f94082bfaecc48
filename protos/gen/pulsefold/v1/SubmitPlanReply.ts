// Original file: protos/pulsefold/v1/admin.proto


export interface SubmitPlanReply {
  'planHash'?: (Buffer | Uint8Array | string);
}

export interface SubmitPlanReply__Output {
  'planHash': (Buffer);
}
