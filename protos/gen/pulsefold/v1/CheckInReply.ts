// Original file: protos/pulsefold/v1/rounds.proto

import type { Invitation as _pulsefold_v1_Invitation, Invitation__Output as _pulsefold_v1_Invitation__Output } from '../../pulsefold/v1/Invitation.ts';
import type { Wait as _pulsefold_v1_Wait, Wait__Output as _pulsefold_v1_Wait__Output } from '../../pulsefold/v1/Wait.ts';
import type { Finished as _pulsefold_v1_Finished, Finished__Output as _pulsefold_v1_Finished__Output } from '../../pulsefold/v1/Finished.ts';

export interface CheckInReply {
  'invitation'?: (_pulsefold_v1_Invitation | null);
  'wait'?: (_pulsefold_v1_Wait | null);
  'finished'?: (_pulsefold_v1_Finished | null);
  'outcome'?: "invitation"|"wait"|"finished";
}

export interface CheckInReply__Output {
  'invitation'?: (_pulsefold_v1_Invitation__Output | null);
  'wait'?: (_pulsefold_v1_Wait__Output | null);
  'finished'?: (_pulsefold_v1_Finished__Output | null);
  'outcome'?: "invitation"|"wait"|"finished";
}
