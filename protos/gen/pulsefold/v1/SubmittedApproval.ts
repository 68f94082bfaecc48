// Original file: protos/pulsefold/v1/admin.proto


export interface SubmittedApproval {
  'approverId'?: (string);
  'publicKey'?: (Buffer | Uint8Array | string);
  'signature'?: (Buffer | Uint8Array | string);
}

export interface SubmittedApproval__Output {
  'approverId': (string);
  'publicKey': (Buffer);
  'signature': (Buffer);
}
