// Original file: protos/pulsefold/v1/rounds.proto


export interface SubjectAccessReply {
  'receipt'?: (Buffer | Uint8Array | string);
  'signature'?: (Buffer | Uint8Array | string);
  'data'?: (Buffer | Uint8Array | string);
}

export interface SubjectAccessReply__Output {
  'receipt': (Buffer);
  'signature': (Buffer);
  'data': (Buffer);
}
