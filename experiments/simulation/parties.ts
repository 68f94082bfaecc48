/**
 * Who a simulated plan names: four key holders, a coordinator, a registrar, an approver, all of whose keys follow from a
 * seed. Whoever knows the seed has every key, so no plan that names them is worth anything outside a simulation.
 *
 * Trusts: nothing. May be called by: experiments.
 */
import { createHash } from 'node:crypto';
import { toHex } from '../../crypto/bytes.ts';
import { getSuite, type KeyPair, type SuiteName } from '../../crypto/identity/suite.ts';
import { seededRandom } from '../../crypto/random.ts';
import type { ApprovalPolicy } from '../../protos/approval-policy.ts';
import { approvePlan, type ParsedPlan, type PlanApproval } from '../../protos/plan.ts';
import { type SeededRegistrar, seededRegistrar } from './registrar.ts';

export const SIMULATION_HOLDERS = ['hospital', 'regulator', 'platform', 'university'] as const;

export interface HolderKeys {
  readonly id: string;
  readonly signing: KeyPair;
  readonly sealing: KeyPair;
}

/** What stands in a plan (the form of PlanParties in experiments/demo/scenario.ts). */
export interface SimulationParties {
  readonly holders: readonly {
    readonly id: string;
    readonly signingPublicKey: string;
    readonly sealingPublicKey: string;
  }[];
  readonly registrarSha256: string;
  readonly coordinatorPublicKey: string;
}

/** The parties of a plan, with their secrets. */
export interface Parties extends SimulationParties {
  readonly suite: SuiteName;
  /** Whoever knows it can make all of them again. */
  readonly seed: string;
  readonly holderKeys: readonly HolderKeys[];
  readonly coordinatorKey: KeyPair;
  readonly approverKey: KeyPair;
  readonly registrar: SeededRegistrar;
}

/** Keys derived from the seed. For simulations only. */
export function simulationParties(suiteName: SuiteName, seed: string): Parties {
  const suite = getSuite(suiteName);
  const random = (name: string) => seededRandom(`simulation/parties/${suiteName}/${seed}/${name}`);
  const holderKeys = SIMULATION_HOLDERS.map((id) => ({
    id,
    signing: suite.generateSigningKey(random(`${id}/signing`)),
    sealing: suite.generateSealingKey(random(`${id}/sealing`)),
  }));
  const coordinatorKey = suite.generateSigningKey(random('coordinator'));
  const registrar = seededRegistrar(random('registrar'));
  return {
    suite: suiteName,
    seed,
    holderKeys,
    coordinatorKey,
    approverKey: suite.generateSigningKey(random('approver')),
    registrar,
    holders: holderKeys.map(({ id, signing, sealing }) => ({
      id,
      signingPublicKey: toHex(signing.publicKey),
      sealingPublicKey: toHex(sealing.publicKey),
    })),
    registrarSha256: createHash('sha256').update(registrar.caDer).digest('hex'),
    coordinatorPublicKey: toHex(coordinatorKey.publicKey),
  };
}

const APPROVER_ID = 'simulation';

/** The approval without which no coordinator, holder or device would run a plan. */
export const approvalsOf = (parties: Parties, parsed: ParsedPlan): PlanApproval[] => [
  approvePlan(parsed, APPROVER_ID, parties.approverKey),
];

export const policyOf = (parties: Parties): ApprovalPolicy => ({
  required: 1,
  approvers: [{ id: APPROVER_ID, publicKey: toHex(parties.approverKey.publicKey) }],
});
