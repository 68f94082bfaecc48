/**
 * The typed leaves of the transparency log (DESIGN §6) and their one encoding: canonical JSON.
 *
 * No leaf carries an identifier of a person or device: commitments are keyed, charges carry the ledger
 * pseudonym of one budget epoch. A leaf has at most 65,535 bytes, the limit of an entry in a C2SP
 * tlog-tiles bundle, so long lists of pseudonyms are spread over numbered parts.
 * Trusts: nothing; `parseLeaf` takes hostile bytes. May be called by: everyone.
 */
import { ensure, PulsefoldError } from '../error.ts';
import { canonicalBytes, type JsonObject, parseCanonicalJson } from './canonical-json.ts';

export const LEAF_BYTES_MAX = 65_535;
/** Pseudonyms in one leaf; 67 bytes each. */
export const LEAF_PSEUDONYMS_MAX = 800;
const SIGNATURES_MAX = 64;
const TEXT_LENGTH_MAX = 500;

type Check<T> = {
  readonly test: (value: unknown) => boolean;
  readonly expected: string;
  readonly type?: T;
  /** May be absent, where the leaf has no such thing; then it is not in the encoding either. */
  readonly optional?: boolean;
};
type Fields = { readonly [name: string]: Check<unknown> };
type Optional<F extends Fields> = {
  [K in keyof F]: F[K] extends { readonly optional: true } ? K : never;
}[keyof F];
type Checked<C> = C extends Check<infer T> ? T : never;
type TypeOf<F extends Fields> = { readonly [K in Exclude<keyof F, Optional<F>>]: Checked<F[K]> } & {
  readonly [K in Optional<F>]?: Checked<F[K]>;
};

const pattern = (regex: RegExp, expected: string): Check<string> => ({
  test: (value) => typeof value === 'string' && regex.test(value),
  expected,
});
const oneOf = <const T extends readonly string[]>(...values: T): Check<T[number]> => ({
  test: (value) => values.includes(value as string),
  expected: `one of ${values.join(', ')}`,
});
const integer = (minimum: number, maximum: number): Check<number> => ({
  test: (value) =>
    Number.isSafeInteger(value) && (value as number) >= minimum && (value as number) <= maximum,
  expected: `an integer from ${minimum} to ${maximum}`,
});
const listOf = <T>(item: Check<T>, minimum: number, maximum: number): Check<readonly T[]> => ({
  test: (value) =>
    Array.isArray(value) && value.length >= minimum && value.length <= maximum && value.every(item.test),
  expected: `a list of ${minimum} to ${maximum} items, each ${item.expected}`,
});
const record = <F extends Fields>(fields: F): Check<TypeOf<F>> => ({
  test: (value) => isPlain(value) && firstFault(value, fields) === undefined,
  expected: `an object of ${Object.keys(fields).join(', ')}`,
});

const optional = <T>(check: Check<T>): Check<T> & { readonly optional: true } => ({
  ...check,
  optional: true,
});

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Strictly ascending, so that one set has one encoding and nobody stands in it twice. */
const ascending = (values: readonly string[]): boolean =>
  values.every((value, i) => i === 0 || values[i - 1]! < value);

const hash = pattern(/^[0-9a-f]{64}$/, '32 bytes as lower-case hexadecimal');
const signature = pattern(/^[0-9a-f]{128}$/, '64 bytes as lower-case hexadecimal');
const publicKey = pattern(/^([0-9a-f]{64}|04[0-9a-f]{128})$/, 'a public key as hexadecimal');
const slug = pattern(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and dashes');
const round = integer(1, 100_000);
const count = integer(0, Number.MAX_SAFE_INTEGER);
/**
 * A non-negative decimal ("0.25"), also with exponent ("1e-7"), or a rational ("1/3"), or "Infinity"
 * without DP.
 */
const real = pattern(
  /^(\d{1,40}(\.\d{1,40})?(e[+-]?\d{1,3})?|\d{1,400}\/[1-9]\d{0,399}|Infinity)$/,
  'a decimal or rational',
);
const text: Check<string> = {
  test: (value) => typeof value === 'string' && value.length > 0 && value.length <= TEXT_LENGTH_MAX,
  expected: `text of 1 to ${TEXT_LENGTH_MAX} characters`,
};
const boolean: Check<boolean> = { test: (value) => typeof value === 'boolean', expected: 'true or false' };
const object: Check<JsonObject> = { test: isPlain, expected: 'an object' };
const signatures = listOf(record({ holderId: slug, signature }), 1, SIGNATURES_MAX);
const approvals = listOf(record({ approverId: slug, publicKey, signature }), 1, SIGNATURES_MAX);
const pseudonyms: Check<readonly string[]> = {
  test: (value) => listOf(hash, 0, LEAF_PSEUDONYMS_MAX).test(value) && ascending(value as string[]),
  expected: `up to ${LEAF_PSEUDONYMS_MAX} ascending, distinct pseudonyms`,
};
const binding = { planHash: hash, round };
const roundBinding = { ...binding, modelHash: hash, configHash: hash, committeeKeyId: hash };
/** Number of this leaf among the leaves that together hold one list; 1-based. */
const part = { part: integer(1, 10_000), parts: integer(1, 10_000) };
/** What one participant pays, as its filter counts: RDP at that order, or ρ where the order is 'zcdp'. */
const payment = {
  order: pattern(/^(zcdp|[1-9]\d{0,5}(\.\d{1,20})?)$/, "'zcdp' or a Rényi order as decimal"),
  charge: real,
};

/** Fields of every kind. All leaves also have `kind`, `version` (1) and `timeMs`. */
export const LEAF_FIELDS = {
  plan_approved: { planHash: hash, approvals },
  enrolment_commitment: { commitment: hash, registrarSha256: hash },
  /**
   * commitment = H(signed statement ‖ signature), as in the three kinds below. planHash: the plan that was shown;
   * purposeDigest: of purpose and controller; expiresMs: no new round from then on.
   */
  consent_commitment: {
    commitment: hash,
    planHash: hash,
    pseudonym: optional(hash),
    scope: optional(pattern(/^(plan:[0-9a-f]{64}|family:[a-z0-9][a-z0-9-]{0,62})$/, 'a scope of consent')),
    purposeDigest: optional(hash),
    expiresMs: optional(count),
  },
  ceremony: { ...binding, ceremonyId: hash, committeeKeyId: hash, signatures },
  round_opened: { ...roundBinding, purpose: oneOf('training', 'evaluation') },
  reservation: { ...binding, ...part, ...payment, pseudonyms },
  round_certificate: { ...roundBinding, cohortRoot: hash, cohortCount: count, signatures },
  abort: { ...binding, reason: text, signatures },
  /** Certified and charged, yet no set of holders could open the sum. */
  unopened: { ...binding, certificateHash: hash, reason: text },
  opened_sum: {
    ...binding,
    certificateHash: hash,
    sumHash: hash,
    length: count,
    activeSet: listOf(slug, 1, 64),
    /** Of a sum that was opened by groups: members and validity of each, in the order of the groups. */
    groups: optional(record({ sizes: listOf(integer(1, 10_000), 2, 64), valid: listOf(boolean, 2, 64) })),
  },
  mechanism: { ...binding, certificateHash: hash, ...payment, event: object },
  settlement: {
    ...binding,
    ...part,
    ...payment,
    statementHash: hash,
    outcome: oneOf('charged', 'released'),
    pseudonyms,
  },
  release: {
    ...binding,
    what: oneOf('model', 'metrics'),
    contentHash: hash,
    epsilon: real,
    delta: real,
    gamma: real,
    epsilonBudget: real,
    /** Where rounds overlap: releases between the version that the round started from and the one that it moved. */
    staleness: optional(integer(0, 100)),
  },
  /** commitment = H(signed statement); afterRound: the last round of that plan that may still charge. */
  withdrawal: {
    commitment: hash,
    planHash: optional(hash),
    pseudonym: optional(hash),
    scope: optional(pattern(/^(\*|plan:[0-9a-f]{64}|family:[a-z0-9][a-z0-9-]{0,62})$/, 'a scope')),
    afterRound: optional(integer(0, 100_000)),
  },
  /** A person got what the coordinator holds about their device. */
  subject_access: { commitment: hash },
  /** The coordinator forgets a device; afterRound as in a withdrawal from everything. */
  erasure: { commitment: hash, planHash: hash, pseudonym: hash, afterRound: integer(0, 100_000) },
  late: { ...binding, digest: hash, signature },
} as const satisfies Record<string, Fields>;

export type LeafKind = keyof typeof LEAF_FIELDS;
export const LEAF_KINDS = Object.keys(LEAF_FIELDS) as LeafKind[];

/** A leaf of one kind; `timeMs` is Unix time in milliseconds as its writer saw it. */
export type LeafOf<K extends LeafKind> = {
  readonly kind: K;
  readonly version: 1;
  readonly timeMs: number;
} & TypeOf<(typeof LEAF_FIELDS)[K]>;
export type Leaf = { [K in LeafKind]: LeafOf<K> }[LeafKind];

const HEADER: Fields = {
  kind: oneOf(...LEAF_KINDS),
  version: { test: (v) => v === 1, expected: '1' },
  timeMs: count,
};

/** Name and expectation of the first missing, extra or wrong field. */
function firstFault(value: Record<string, unknown>, fields: Fields): string | undefined {
  for (const [name, check] of Object.entries(fields)) {
    const absent = !Object.hasOwn(value, name);
    if (absent && check.optional) continue;
    if (absent || !check.test(value[name])) return `${name} must be ${check.expected}`;
  }
  const extra = Object.keys(value).find((name) => !Object.hasOwn(fields, name));
  return extra === undefined ? undefined : `unknown field ${extra.slice(0, 40)}`;
}

/** Throws MALFORMED_MESSAGE, naming kind and field, unless `value` is a well-formed leaf. */
export function checkLeaf(value: unknown): asserts value is Leaf {
  ensure(isPlain(value), 'MALFORMED_MESSAGE', 'log leaf: not an object');
  const kind = value.kind as LeafKind;
  ensure(
    typeof kind === 'string' && Object.hasOwn(LEAF_FIELDS, kind),
    'MALFORMED_MESSAGE',
    'log leaf: unknown kind',
  );
  const fault = firstFault(value, { ...HEADER, ...LEAF_FIELDS[kind] });
  if (fault !== undefined) throw new PulsefoldError('MALFORMED_MESSAGE', `log leaf ${kind}: ${fault}`);
  if ('part' in value && 'parts' in value)
    ensure(
      (value.part as number) <= (value.parts as number),
      'MALFORMED_MESSAGE',
      `log leaf ${kind}: part exceeds parts`,
    );
}

/** The bytes that are hashed into the tree. Throws MALFORMED_MESSAGE for a malformed or over-long leaf. */
export function encodeLeaf(leaf: Leaf): Uint8Array {
  checkLeaf(leaf);
  const bytes = canonicalBytes(leaf);
  ensure(
    bytes.length <= LEAF_BYTES_MAX,
    'MALFORMED_MESSAGE',
    `log leaf ${leaf.kind}: over ${LEAF_BYTES_MAX} bytes`,
  );
  return bytes;
}

/** Reads hostile bytes or text. Only the canonical encoding of a known kind is accepted. */
export function parseLeaf(bytes: Uint8Array | string): Leaf {
  const value: unknown = parseCanonicalJson(bytes, LEAF_BYTES_MAX);
  checkLeaf(value);
  return value;
}

/** Sorts, removes repeats and splits pseudonyms for numbered leaves. At least one (possibly empty) part. */
export function pseudonymParts(
  values: Iterable<string>,
): { part: number; parts: number; pseudonyms: string[] }[] {
  const list = [...values];
  const ascends = list.every((value, i) => i === 0 || list[i - 1]! < value);
  const sorted = ascends ? list : [...new Set(list)].sort();
  const parts = Math.max(1, Math.ceil(sorted.length / LEAF_PSEUDONYMS_MAX));
  return Array.from({ length: parts }, (_, i) => ({
    part: i + 1,
    parts,
    pseudonyms: sorted.slice(i * LEAF_PSEUDONYMS_MAX, (i + 1) * LEAF_PSEUDONYMS_MAX),
  }));
}
