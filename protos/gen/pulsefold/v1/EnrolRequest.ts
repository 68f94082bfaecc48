// Original file: protos/pulsefold/v1/registrar.proto


export interface EnrolRequest {
  'token'?: (Buffer | Uint8Array | string);
  'role'?: (string);
  'suite'?: (string);
  'signingPublicKey'?: (Buffer | Uint8Array | string);
  'sealingPublicKey'?: (Buffer | Uint8Array | string);
  'tlsPublicKey'?: (Buffer | Uint8Array | string);
  'signingProof'?: (Buffer | Uint8Array | string);
  'tlsProof'?: (Buffer | Uint8Array | string);
}

export interface EnrolRequest__Output {
  'token': (Buffer);
  'role': (string);
  'suite': (string);
  'signingPublicKey': (Buffer);
  'sealingPublicKey': (Buffer);
  'tlsPublicKey': (Buffer);
  'signingProof': (Buffer);
  'tlsProof': (Buffer);
}
