// Original file: protos/pulsefold/v1/rounds.proto


export interface Approval {
  'approverId'?: (string);
  'publicKey'?: (Buffer | Uint8Array | string);
  'signature'?: (Buffer | Uint8Array | string);
}

export interface Approval__Output {
  'approverId': (string);
  'publicKey': (Buffer);
  'signature': (Buffer);
}
