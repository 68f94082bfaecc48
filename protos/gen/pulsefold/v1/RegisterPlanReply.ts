// Original file: protos/pulsefold/v1/keyholder.proto


export interface RegisterPlanReply {
  'planHash'?: (Buffer | Uint8Array | string);
}

export interface RegisterPlanReply__Output {
  'planHash': (Buffer);
}
