/**
 * The plan: what a researcher proposes, approvers sign, and everybody downstream binds to by its hash.
 *
 * For: parsing (YAML or JSON text, size-capped), validation, canonical hashing and approval checks.
 * Trusts: nothing; a plan comes from outside. May be called by: every role (DESIGN §2.1).
 */
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { fromHex, fromUtf8, toHex, utf8 } from '../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../crypto/error.ts';
import { contributionsMax } from '../crypto/he/parameters.ts';
import { getSuite, type SuiteName } from '../crypto/identity/suite.ts';
import { canonicalJson } from '../crypto/log/canonical-json.ts';
import { APPROVALS_MAX, type ApprovalPolicy, emptySeats } from './approval-policy.ts';
import { consentTermsSchema } from './consent.ts';
import { featureSchema } from './features.ts';
import { modelSpecSchema } from './model.ts';
import { modelIssues } from './plan-model.ts';
import { OVERLAP_MAX, overlapIssues } from './plan-overlap.ts';
import { privacyIssues } from './plan-privacy.ts';
import { trainingIssues, trainingSchema } from './plan-training.ts';
import { decodeReals, encodeReals } from './reals.ts';
import { approvalStatement } from './statements.ts';

export const PLAN_BYTES_MAX = 256 * 1024;

const rational = z
  .string()
  .regex(/^\d{1,24}(\.\d{1,18}|\/[1-9]\d{0,23})?$/, 'expected a rational such as "1/3" or "0.25"');
const hex = (bytes: number) =>
  z
    .string()
    .regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`), `expected ${bytes} bytes as lower-case hexadecimal`);
const slug = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'expected lower-case letters, digits and dashes');
const publicKey = z
  .string()
  .regex(
    /^([0-9a-f]{64}|04[0-9a-f]{128})$/,
    'expected a public key as hexadecimal (32 bytes, or 65 bytes in the gm suite)',
  );

/**
 * Norm that a sum of updates may reach, as a fraction of cohortMax clips that all point the same way, when it is spread
 * evenly; more where it sits in a few layers. Sizes the slots of a noised sum (crypto/dp/slots.ts). Too small a value
 * costs accuracy, never privacy.
 */
const coherence = rational.default('1');

export const privacySchema = z.strictObject({
  unit: z.enum(['person', 'record']),
  epsilon: rational,
  delta: rational,
  /** Fraction of a certified cohort that may be corrupt while the stated ε still holds. */
  gamma: rational,
  /** Poisson rate inside a client (record unit); person-level plans have q = 1 (DESIGN §5). */
  samplingRate: rational.default('1'),
  /** Per client and coordinate, in integer units squared. */
  noiseVariance: rational,
  evaluationNoiseVariance: rational.optional(),
  /** For plans that share a person's budget of one epoch with others (docs/adr/0032, protos/plan-quota.ts). */
  quota: z
    .strictObject({
      /** The model, or the family of plans, that the share belongs to. */
      family: slug,
      /** Of the amount that `total` allows; more than 0, at most 1. */
      share: rational,
      /** The one filter of a person in this epoch: every plan that charges it states the same. */
      total: z.strictObject({
        epsilon: rational,
        delta: rational,
        /** Rényi order that every charge is counted at; zCDP only for plans that sample nothing. */
        order: z.union([z.literal('zcdp'), z.int().min(2).max(4096)]),
      }),
    })
    .optional(),
});

/** Training sums open in disjoint groups that are drawn after the certificate (docs/adr/0030). */
export const groupsSchema = z.strictObject({
  count: z.int().min(3).max(64),
  /** How the groups' means become one update. */
  combine: z.enum(['mean', 'median', 'trimmed-mean', 'norm-filter', 'krum']),
  /** trimmed-mean: fraction of the groups dropped at each end, per coordinate; 1/4 where absent. */
  trim: rational.optional(),
  /** norm-filter: groups above this multiple of the median norm are dropped; 2 where absent. */
  normFactor: rational.optional(),
  /** krum: groups that may be spoiled, 2·faultyMax + 3 ≤ count; as many as that allows where absent. */
  faultyMax: z.int().min(0).max(30).optional(),
  /** krum: how many of the best groups are averaged (multi-Krum); 1 where absent. */
  keptCount: z.int().min(1).max(62).optional(),
});
export type GroupTerms = z.output<typeof groupsSchema>;

export const planSchema = z
  .strictObject({
    version: z.literal(1),
    name: slug,
    purpose: z.string().min(1).max(500),
    /** Who takes part must have consented to this purpose (protos/consent.ts, docs/adr/0037). */
    consent: consentTermsSchema.optional(),
    suite: z.enum(['intl', 'gm']),
    seed: z.string().min(1).max(64),
    /** Budget epoch: data of one window share one filter; see docs/protocol.md. */
    epoch: z.string().min(1).max(32).default('1'),
    features: featureSchema,
    model: modelSpecSchema,
    training: trainingSchema,
    rounds: z.strictObject({
      training: z.int().min(1).max(500),
      evaluation: z.int().min(0).max(20).default(0),
      /** Extra committee keys for rounds that end in an abort. */
      spare: z.int().min(0).max(100).default(2),
      /** A coordinator of processes takes at most 10,000 (coordinator/coordinator.ts); larger cohorts are simulated. */
      cohortMin: z.int().min(2).max(1_000_000),
      cohortTarget: z.int().min(2).max(1_000_000),
      cohortMax: z.int().min(2).max(1_000_000),
      checkInWindowMs: z.int().min(100).max(86_400_000),
      deadlineMs: z.int().min(1000).max(604_800_000),
      /** Once cohortMin uploads are in: how long to wait for the next one before the cohort is frozen. */
      stragglerMs: z.int().min(100).max(604_800_000).default(5000),
      holderDeadlineMs: z.int().min(1000).max(604_800_000).default(30_000),
      /** Rounds open beside the oldest open one, strategy fedbuff (protos/plan-overlap.ts); absent: 0. */
      overlap: z.int().min(0).max(OVERLAP_MAX).optional(),
    }),
    eligibility: z
      .strictObject({
        recordsMin: z.int().min(1).max(1_000_000).default(1),
        recordsMax: z.int().min(1).max(1_000_000).default(100_000),
        chargingRequired: z.boolean().default(false),
        unmeteredRequired: z.boolean().default(false),
        wornRequired: z.boolean().default(false),
      })
      .default({
        recordsMin: 1,
        recordsMax: 100_000,
        chargingRequired: false,
        unmeteredRequired: false,
        wornRequired: false,
      }),
    /** L2 clip in model units, and the integer grid it is mapped to. Also used without DP, for the fixed point. */
    mechanism: z.strictObject({
      clip: rational,
      unitsPerClip: z
        .int()
        .min(1)
        .max(2 ** 24),
      /** Public divisor of a record-unit sum: the expected batch over the whole cohort, never the realised one. */
      expectedBatch: rational.optional(),
      /** Most records one client adds up (record unit): at least eligibility.recordsMax. */
      recordsMax: z.int().min(1).max(100_000).default(1),
      /** The clip follows a quantile of the cohort's norms, from `clip` on (protos/adaptive-clip.ts, docs/adr/0034). */
      adaptiveClip: z
        .strictObject({
          /** Fraction of the cohort that the clip should let through unclipped. */
          quantile: rational,
          /** η: the clip moves by at most a factor e^η a round. */
          learningRate: z.number().positive().max(2),
          /** h, integer units: one bit per device adds h² to the squared sensitivity, unitsPerClip² and a little. */
          bitUnits: z
            .int()
            .min(1)
            .max(2 ** 24),
          clipMin: rational,
          clipMax: rational,
        })
        .optional(),
    }),
    privacy: privacySchema.nullable(),
    evaluation: z
      .strictObject({
        path: z.enum(['none', 'federated']),
        bins: z.int().min(20).max(200).multipleOf(20).default(20),
      })
      .default({ path: 'none', bins: 20 }),
    aggregation: z
      .discriminatedUnion('transport', [
        /** Threshold BFV: the coordinator is trusted to follow the protocol (docs/threat-model.md). */
        z.strictObject({
          transport: z.literal('bfv'),
          polyDegree: z.literal(4096).default(4096),
          plainModulusBits: z.literal(15).default(15),
          coherence,
        }),
        /** Masks from seeds that the holders share: coordinator and clients may be malicious. */
        z.strictObject({
          transport: z.literal('shares'),
          kem: z.enum(['x25519', 'x25519-ml-kem-768']).default('x25519'),
          coherence,
          groups: groupsSchema.optional(),
        }),
      ])
      .default({ transport: 'shares', kem: 'x25519', coherence: '1' }),
    holders: z
      .array(z.strictObject({ id: slug, signingPublicKey: publicKey, sealingPublicKey: publicKey }))
      .length(4, 'this version runs n = 4 holders (f = 1)'),
    /** SHA-256 of the DER of the registrar's CA certificate. */
    registrarSha256: hex(32),
    coordinatorPublicKey: publicKey,
  })
  .superRefine((plan, context) => {
    const issue = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    const { cohortMin, cohortTarget, cohortMax } = plan.rounds;
    if (!(cohortMin <= cohortTarget && cohortTarget <= cohortMax))
      issue(['rounds'], 'expected cohortMin ≤ cohortTarget ≤ cohortMax');
    if (plan.aggregation.transport === 'bfv' && cohortMax > contributionsMax)
      issue(
        ['rounds', 'cohortMax'],
        `a bfv sum holds at most ${contributionsMax} uploads: use transport shares for larger cohorts`,
      );
    if (new Set(plan.holders.map((h) => h.id)).size !== plan.holders.length)
      issue(['holders'], 'holder ids repeat');
    if (new Set(plan.holders.map((h) => h.signingPublicKey)).size !== plan.holders.length)
      issue(['holders'], 'two holders share a signing key: they would not be independent');
    if (plan.rounds.evaluation > 0 && plan.evaluation.path === 'none')
      issue(['evaluation', 'path'], 'rounds.evaluation > 0 needs evaluation.path: federated');
    if (plan.aggregation.transport === 'shares' && plan.aggregation.kem !== 'x25519' && plan.suite !== 'intl')
      issue(['aggregation', 'kem'], 'the hybrid with ML-KEM-768 exists in suite intl only');
    // Lengths of sums are derived from terms that make sense.
    const terms = [...modelIssues(plan), ...trainingIssues(plan), ...overlapIssues(plan)];
    for (const { path, message } of terms.length > 0 ? terms : privacyIssues(plan)) issue(path, message);
  });

export type Plan = z.output<typeof planSchema>;
export type PrivacyTerms = z.output<typeof privacySchema>;
export {
  committeeKeyCount,
  faultsOf,
  groupSizeMax,
  groupSizeMin,
  groupsOf,
  groupTermsOf,
  openersOf,
  quorumOf,
  thresholdOf,
} from './plan-numbers.ts';
export { trainingSchema };

export interface ParsedPlan {
  readonly plan: Plan;
  /** Canonical JSON, the bytes that are hashed, signed and sent. */
  readonly bytes: Uint8Array;
  readonly hash: Uint8Array;
  readonly hashHex: string;
}

/** Validates a plan object and fixes its canonical bytes. Throws PLAN_INVALID naming the field. */
export function finishPlan(value: unknown): ParsedPlan {
  const result = planSchema.safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw new PulsefoldError(
      'PLAN_INVALID',
      `plan.${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`,
    );
  }
  const bytes = utf8(canonicalJson(encodeReals(result.data)));
  ensure(bytes.length <= PLAN_BYTES_MAX, 'PLAN_INVALID', `a plan may have at most ${PLAN_BYTES_MAX} bytes`);
  const hash = getSuite(result.data.suite).digest(utf8('pulsefold/v1/plan'), bytes);
  return { plan: result.data, bytes, hash, hashHex: toHex(hash) };
}

/** Parses YAML (or JSON) text of a plan. */
export function parsePlanText(text: string): ParsedPlan {
  ensure(text.length <= PLAN_BYTES_MAX, 'PLAN_INVALID', `a plan may have at most ${PLAN_BYTES_MAX} bytes`);
  let value: unknown;
  try {
    value = parseYaml(text, { maxAliasCount: 0 });
  } catch (cause) {
    throw new PulsefoldError('PLAN_INVALID', `the plan is not valid YAML: ${(cause as Error).message}`, {
      cause,
    });
  }
  return finishPlan(value);
}

/** Parses the canonical bytes of a plan that came over the wire; any other encoding of the same plan is refused. */
export function parsePlanBytes(bytes: Uint8Array): ParsedPlan {
  ensure(bytes.length <= PLAN_BYTES_MAX, 'PLAN_INVALID', `a plan may have at most ${PLAN_BYTES_MAX} bytes`);
  let value: unknown;
  try {
    value = decodeReals(JSON.parse(fromUtf8(bytes)));
  } catch (cause) {
    throw new PulsefoldError('PLAN_INVALID', 'the plan is not valid JSON', { cause });
  }
  const parsed = finishPlan(value);
  ensure(Buffer.compare(parsed.bytes, bytes) === 0, 'PLAN_INVALID', 'the plan is not in canonical form');
  return parsed;
}

export interface PlanApproval {
  readonly approverId: string;
  readonly publicKey: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * Checks that at least `required` distinct pinned approvers signed this plan hash, and that every seat of the policy is
 * filled by one of them. Keys that came with the approval count for nothing unless they are pinned here. Throws
 * PLAN_NOT_APPROVED.
 */
export function requireApproved(
  parsed: ParsedPlan,
  approvals: readonly PlanApproval[],
  policy: ApprovalPolicy,
): void {
  ensure(policy.required >= 1, 'CONFIG_INVALID', 'at least one approver signature must be required');
  const suite = getSuite(parsed.plan.suite);
  const valid = new Set<string>();
  for (const approval of approvals.slice(0, APPROVALS_MAX)) {
    const pinned = policy.approvers.find((a) => a.id === approval.approverId);
    if (!pinned || pinned.publicKey !== toHex(approval.publicKey)) continue;
    const statement = approvalStatement(parsed.hash, approval.approverId);
    if (suite.verify(fromHex(pinned.publicKey), statement, approval.signature)) valid.add(pinned.publicKey);
  }
  ensure(
    valid.size >= policy.required,
    'PLAN_NOT_APPROVED',
    `plan ${parsed.hashHex.slice(0, 12)} has ${valid.size} of ${policy.required} required approver signatures`,
  );
  const empty = emptySeats(policy, valid);
  ensure(
    empty.length === 0,
    'PLAN_NOT_APPROVED',
    `plan ${parsed.hashHex.slice(0, 12)} lacks the signature of the ${empty.join(' seat, of the ')} seat`,
  );
}

/** Signs a plan as an approver. */
export function approvePlan(
  parsed: ParsedPlan,
  approverId: string,
  key: { publicKey: Uint8Array; secretKey: Uint8Array },
): PlanApproval {
  const suite = getSuite(parsed.plan.suite as SuiteName);
  return {
    approverId,
    publicKey: key.publicKey,
    signature: suite.sign(key.secretKey, approvalStatement(parsed.hash, approverId)),
  };
}
