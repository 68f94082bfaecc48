// Original file: protos/pulsefold/v1/registrar.proto


export interface GetRevocationListReply {
  'list'?: (Buffer | Uint8Array | string);
}

export interface GetRevocationListReply__Output {
  'list': (Buffer);
}
