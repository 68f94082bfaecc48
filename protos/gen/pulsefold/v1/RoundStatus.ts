// Original file: protos/pulsefold/v1/admin.proto


export interface RoundStatus {
  'round'?: (number);
  'kind'?: (string);
  'phase'?: (string);
  'invited'?: (number);
  'uploaded'?: (number);
  'certified'?: (number);
  'message'?: (string);
}

export interface RoundStatus__Output {
  'round': (number);
  'kind': (string);
  'phase': (string);
  'invited': (number);
  'uploaded': (number);
  'certified': (number);
  'message': (string);
}
