// Original file: protos/pulsefold/v1/keyholder.proto


export interface PlanApproval {
  'approverId'?: (string);
  'publicKey'?: (Buffer | Uint8Array | string);
  'signature'?: (Buffer | Uint8Array | string);
}

export interface PlanApproval__Output {
  'approverId': (string);
  'publicKey': (Buffer);
  'signature': (Buffer);
}
