// Original file: protos/pulsefold/v1/keyholder.proto


export interface SealedShare {
  'fromHolderId'?: (string);
  'toHolderId'?: (string);
  'sealed'?: (Buffer | Uint8Array | string);
}

export interface SealedShare__Output {
  'fromHolderId': (string);
  'toHolderId': (string);
  'sealed': (Buffer);
}
