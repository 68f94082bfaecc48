// Original file: protos/pulsefold/v1/rounds.proto


export interface Finished {
  'reason'?: (string);
  'modelHash'?: (Buffer | Uint8Array | string);
}

export interface Finished__Output {
  'reason': (string);
  'modelHash': (Buffer);
}
