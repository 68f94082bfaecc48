// Original file: protos/pulsefold/v1/admin.proto

import type { RoundStatus as _pulsefold_v1_RoundStatus, RoundStatus__Output as _pulsefold_v1_RoundStatus__Output } from '../../pulsefold/v1/RoundStatus.ts';
import type { BudgetAlarm as _pulsefold_v1_BudgetAlarm, BudgetAlarm__Output as _pulsefold_v1_BudgetAlarm__Output } from '../../pulsefold/v1/BudgetAlarm.ts';

export interface GetStatusReply {
  'planHash'?: (Buffer | Uint8Array | string);
  'planName'?: (string);
  'phase'?: (string);
  'message'?: (string);
  'roundsCompleted'?: (number);
  'roundsPlanned'?: (number);
  'keysReady'?: (number);
  'rounds'?: (_pulsefold_v1_RoundStatus)[];
  'epsilonSpent'?: (string);
  'epsilonAllowed'?: (string);
  'budgetAlarms'?: (_pulsefold_v1_BudgetAlarm)[];
  'budgetAlarmCount'?: (number);
}

export interface GetStatusReply__Output {
  'planHash': (Buffer);
  'planName': (string);
  'phase': (string);
  'message': (string);
  'roundsCompleted': (number);
  'roundsPlanned': (number);
  'keysReady': (number);
  'rounds': (_pulsefold_v1_RoundStatus__Output)[];
  'epsilonSpent': (string);
  'epsilonAllowed': (string);
  'budgetAlarms': (_pulsefold_v1_BudgetAlarm__Output)[];
  'budgetAlarmCount': (number);
}
