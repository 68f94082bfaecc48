// Original file: protos/pulsefold/v1/registrar.proto


export interface ForgetReply {
  'receipt'?: (Buffer | Uint8Array | string);
  'signature'?: (Buffer | Uint8Array | string);
  'certificate'?: (Buffer | Uint8Array | string);
}

export interface ForgetReply__Output {
  'receipt': (Buffer);
  'signature': (Buffer);
  'certificate': (Buffer);
}
