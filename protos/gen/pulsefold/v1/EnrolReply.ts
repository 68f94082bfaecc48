// Original file: protos/pulsefold/v1/registrar.proto


export interface EnrolReply {
  'certificate'?: (Buffer | Uint8Array | string);
}

export interface EnrolReply__Output {
  'certificate': (Buffer);
}
