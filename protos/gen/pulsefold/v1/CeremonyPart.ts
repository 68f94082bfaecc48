// Original file: protos/pulsefold/v1/keyholder.proto


export interface CeremonyPart {
  'holderId'?: (string);
  'payload'?: (Buffer | Uint8Array | string);
  'signature'?: (Buffer | Uint8Array | string);
}

export interface CeremonyPart__Output {
  'holderId': (string);
  'payload': (Buffer);
  'signature': (Buffer);
}
