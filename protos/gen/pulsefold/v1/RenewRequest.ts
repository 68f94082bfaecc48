// Original file: protos/pulsefold/v1/registrar.proto


export interface RenewRequest {
  'tlsPublicKey'?: (Buffer | Uint8Array | string);
  'signingProof'?: (Buffer | Uint8Array | string);
  'tlsProof'?: (Buffer | Uint8Array | string);
}

export interface RenewRequest__Output {
  'tlsPublicKey': (Buffer);
  'signingProof': (Buffer);
  'tlsProof': (Buffer);
}
