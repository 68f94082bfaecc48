// Original file: protos/pulsefold/v1/rounds.proto


export interface ConsentRequest {
  'consent'?: (Buffer | Uint8Array | string);
  'signature'?: (Buffer | Uint8Array | string);
}

export interface ConsentRequest__Output {
  'consent': (Buffer);
  'signature': (Buffer);
}
