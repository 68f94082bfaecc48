/**
 * What a holder does in the two phases of a ceremony of transport `shares`: it makes a key for this round alone, and
 * joins it with those of the others.
 *
 * For: ceremonies.ts only. Trusts: what ceremony-run.ts says. Nothing is dealt and nothing tested: every holder opens
 * only what is sealed to itself, and a key that its owner cannot use harms that owner alone. Payloads: BEGIN public key
 * of the round, FINISH key id of the committee key. The cryptography is crypto/secagg/shares.
 */
import type { KeyPair } from '../crypto/identity/suite.ts';
import { joinRoundKeys, makeRoundKey } from '../crypto/secagg/shares/index.ts';
import {
  committeeKeyIdOf,
  decodeRoundKeyPayload,
  encodeFinishPayload,
  encodeRoundKeyPayload,
} from '../protos/keyholder-messages.ts';
import { kemOfPlan } from '../protos/plan-scheme.ts';
import {
  type CeremonySteps,
  fromEach,
  loadCeremonyState,
  namingHolders,
  type Outcome,
  type Run,
} from './ceremony-run.ts';
import { makeRoundSecret } from './round-seeds.ts';

function stepBegin({ context, plan }: Run): Outcome {
  const pair: KeyPair = makeRoundKey(context.identity.suite, kemOfPlan(plan), context.random);
  return { state: pair, payload: encodeRoundKeyPayload(pair.publicKey) };
}

function stepFinish(run: Run): Outcome {
  const { context, plan } = run;
  const { suite } = context.identity;
  const own = loadCeremonyState<KeyPair>(run);
  const publicKeys = fromEach(run, decodeRoundKeyPayload);
  // The own key stands among them as it was given (ceremonies.ts), so all four are of the plan's kind.
  const publicKey = namingHolders(plan, () => joinRoundKeys(suite, publicKeys));
  const share = makeRoundSecret(own.secretKey, publicKey, context.random);
  own.secretKey.fill(0);
  const keyId = committeeKeyIdOf(suite, publicKey);
  return { state: undefined, payload: encodeFinishPayload(keyId), finished: { publicKey, share } };
}

export const sharesSteps: CeremonySteps = { BEGIN: stepBegin, FINISH: stepFinish };
