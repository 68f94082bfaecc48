/**
 * Trust policies for transparency logs (c2sp.org/tlog-policy): which logs, which witnesses, which quorum of them.
 *
 *   log VKEY [URL]
 *   witness NAME VKEY [URL]
 *   group NAME all|any|K MEMBER...
 *   quorum NAME|none
 *
 * Lines end in a newline, items are separated by spaces and tabs, names are opaque octets. Trusts: the person who
 * pinned the file; its syntax is checked strictly all the same. May be called by: everyone.
 */
import { toHex, utf8 } from '../bytes.ts';
import { ensure, PulsefoldError } from '../error.ts';
import {
  type Checkpoint,
  encodeVerifierKey,
  type NoteKey,
  type NoteVerifier,
  noteKeyId,
  parseCheckpointText,
  parseSignedNote,
  verifyNote,
} from './checkpoint.ts';
import { isCosignatureAlgorithm, parseTimestampedSignature } from './cosignature.ts';
import { noteVerifierOf } from './note-keys.ts';

export const POLICY_BYTES_MAX = 512 * 1024;
/** Of logs, of witnesses and of groups; the document asks for at least 32. */
export const POLICY_ITEMS_MAX = 64;

export interface PolicyLog {
  readonly verifier: NoteVerifier;
  readonly url?: string | undefined;
}
export interface PolicyWitness extends PolicyLog {
  /** Its name within the policy. */
  readonly name: string;
}
export interface PolicyGroup {
  readonly name: string;
  /** How many members it takes, 1 to members.length. */
  readonly threshold: number;
  readonly members: readonly string[];
}
export interface TlogPolicy {
  readonly logs: readonly PolicyLog[];
  readonly witnesses: readonly PolicyWitness[];
  /** In the order of definition: members come before their groups. */
  readonly groups: readonly PolicyGroup[];
  /** A witness, a group, or `none`. */
  readonly quorum: string;
}

function fail(line: number, what: string): never {
  throw new PulsefoldError('MALFORMED_MESSAGE', `tlog-policy, line ${line}: ${what}`);
}

/** Octets as one character each: names are opaque, and no decoder may find two of them equal. */
function octets(input: string | Uint8Array): string {
  const bytes = typeof input === 'string' ? utf8(input) : input;
  ensure(
    bytes.length <= POLICY_BYTES_MAX,
    'MALFORMED_MESSAGE',
    `tlog-policy: longer than ${POLICY_BYTES_MAX} bytes`,
  );
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

const readable = (name: string): string => Buffer.from(name, 'latin1').toString('utf8');

class PolicyParser {
  readonly logs: PolicyLog[] = [];
  readonly witnesses: PolicyWitness[] = [];
  readonly groups: PolicyGroup[] = [];
  quorum: string | undefined;
  readonly #defined = new Set<string>();
  readonly #listed = new Set<string>();

  line(number: number, [keyword, ...items]: readonly string[]): void {
    if (keyword === 'log') this.#log(number, items);
    else if (keyword === 'witness') this.#witness(number, items);
    else if (keyword === 'group') this.#group(number, items);
    else if (keyword === 'quorum') this.#quorum(number, items);
    else fail(number, 'expected log, witness, group or quorum');
  }

  #key(number: number, vkey: string, others: readonly PolicyLog[]): NoteVerifier {
    let verifier: NoteVerifier;
    try {
      verifier = noteVerifierOf(readable(vkey));
    } catch (error) {
      return fail(number, (error as Error).message);
    }
    const key = toHex(verifier.publicKey);
    if (others.some((other) => toHex(other.verifier.publicKey) === key))
      fail(number, 'this key is listed twice');
    if (others.length >= POLICY_ITEMS_MAX) fail(number, `more than ${POLICY_ITEMS_MAX} of a kind`);
    return verifier;
  }

  #define(number: number, name: string): void {
    if (name === 'none') fail(number, 'the name none is reserved');
    if (this.#defined.has(name)) fail(number, `${readable(name)} is defined twice`);
    this.#defined.add(name);
  }

  #log(number: number, [vkey, url, ...rest]: readonly string[]): void {
    if (vkey === undefined || rest.length > 0) fail(number, 'expected "log VKEY [URL]"');
    const verifier = this.#key(number, vkey, this.logs);
    this.logs.push({ verifier, ...(url === undefined ? {} : { url: readable(url) }) });
  }

  #witness(number: number, [name, vkey, url, ...rest]: readonly string[]): void {
    if (name === undefined || vkey === undefined || rest.length > 0)
      fail(number, 'expected "witness NAME VKEY [URL]"');
    const verifier = this.#key(number, vkey, this.witnesses);
    if (!isCosignatureAlgorithm(verifier.algorithm))
      fail(number, 'a witness needs a cosignature key (type 04 or 06)');
    this.#define(number, name);
    this.witnesses.push({ name, verifier, ...(url === undefined ? {} : { url: readable(url) }) });
  }

  #group(number: number, [name, rule, ...members]: readonly string[]): void {
    if (name === undefined || rule === undefined || members.length === 0)
      fail(number, 'expected "group NAME all|any|K MEMBER..."');
    for (const member of members) {
      if (!this.#defined.has(member)) fail(number, `${readable(member)} is not defined on a line before`);
      if (this.#listed.has(member)) fail(number, `${readable(member)} is a member already`);
      this.#listed.add(member);
    }
    const threshold = rule === 'all' ? members.length : rule === 'any' ? 1 : Number(rule);
    const numeric = rule === 'all' || rule === 'any' || /^[1-9][0-9]{0,4}$/.test(rule);
    if (!numeric || threshold > members.length)
      fail(number, 'the threshold is all, any or 1 to the number of members');
    if (this.groups.length >= POLICY_ITEMS_MAX) fail(number, `more than ${POLICY_ITEMS_MAX} groups`);
    this.#define(number, name);
    this.groups.push({ name, threshold, members });
  }

  #quorum(number: number, [name, ...rest]: readonly string[]): void {
    if (name === undefined || rest.length > 0) fail(number, 'expected "quorum NAME"');
    if (this.quorum !== undefined) fail(number, 'a second quorum line');
    if (name !== 'none' && !this.#defined.has(name))
      fail(number, `${readable(name)} is not defined on a line before`);
    this.quorum = name;
  }
}

/** Reads a policy file. Throws MALFORMED_MESSAGE naming the line. */
export function parseTlogPolicy(input: string | Uint8Array): TlogPolicy {
  const text = octets(input);
  ensure(text.endsWith('\n'), 'MALFORMED_MESSAGE', 'tlog-policy: the last line must end in a newline');
  const parser = new PolicyParser();
  for (const [i, line] of text.slice(0, -1).split('\n').entries()) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the document lists the octets that are allowed.
    if (/[\x00-\x08\x0a-\x1f\x7f]/.test(line))
      fail(i + 1, 'a control character (also CR is none of the format)');
    const items = line.split(/[ \t]+/).filter((item) => item.length > 0);
    if (items.length === 0 || items[0]!.startsWith('#')) continue;
    parser.line(i + 1, items);
  }
  const { logs, witnesses, groups, quorum } = parser;
  ensure(quorum !== undefined, 'MALFORMED_MESSAGE', 'tlog-policy: there is no quorum line');
  return { logs, witnesses, groups, quorum };
}

/** A policy with these log keys and no witnesses. */
export const policyOfLogs = (logs: readonly NoteVerifier[]): TlogPolicy => ({
  logs: logs.map((verifier) => ({ verifier })),
  witnesses: [],
  groups: [],
  quorum: 'none',
});

export interface PolicyText {
  readonly logs: readonly { readonly key: NoteKey; readonly url?: string | undefined }[];
  readonly witnesses: readonly {
    readonly name: string;
    readonly key: NoteKey;
    readonly url?: string | undefined;
  }[];
  /** Complete `group` and `quorum` lines. */
  readonly lines: readonly string[];
}

/** Writes a policy file and reads it back, so that nothing malformed is ever written. */
export function encodeTlogPolicy({ logs, witnesses, lines }: PolicyText): string {
  const withUrl = (url: string | undefined): string => (url === undefined ? '' : ` ${url}`);
  const all = [
    ...logs.map(({ key, url }) => `log ${encodeVerifierKey(key)}${withUrl(url)}`),
    ...witnesses.map(({ name, key, url }) => `witness ${name} ${encodeVerifierKey(key)}${withUrl(url)}`),
    ...lines,
  ];
  const text = `${all.join('\n')}\n`;
  parseTlogPolicy(text);
  return text;
}

/** Whether the cosigners (names within the policy) are strong enough. */
export function meetsQuorum({ groups, quorum }: TlogPolicy, cosigners: ReadonlySet<string>): boolean {
  if (quorum === 'none') return true;
  const met = new Set(cosigners);
  for (const { name, threshold, members } of groups)
    if (members.filter((member) => met.has(member)).length >= threshold) met.add(name);
  return met.has(quorum);
}

export interface Cosigner {
  /** Name within the policy. */
  readonly name: string;
  readonly verifier: NoteVerifier;
  /** When the witness says that it saw this tree, Unix time. */
  readonly timestampSeconds: number;
}
export interface WitnessedCheckpoint {
  readonly checkpoint: Checkpoint;
  /** The log key that signed. */
  readonly log: NoteVerifier;
  readonly cosigners: readonly Cosigner[];
}

/**
 * Opens a hostile checkpoint under a policy: signed by a log of the policy (or of `logs`) whose key name is the origin,
 * and cosigned by a quorum. Throws MALFORMED_MESSAGE, BAD_SIGNATURE (also for one bad line of a known key),
 * LOG_INCONSISTENT (another log's origin) or QUORUM_NOT_REACHED.
 */
export function openCheckpointUnder(
  note: string | Uint8Array,
  policy: TlogPolicy,
  logs: readonly NoteVerifier[] = [],
): WitnessedCheckpoint {
  const logKeys = [...policy.logs.map(({ verifier }) => verifier), ...logs];
  const { text, signedBy } = verifyNote(note, [
    ...logKeys,
    ...policy.witnesses.map(({ verifier }) => verifier),
  ]);
  const signedLogs = logKeys.filter((verifier) => signedBy.includes(verifier));
  ensure(signedLogs.length > 0, 'BAD_SIGNATURE', 'checkpoint: no log of the policy signed it');
  const checkpoint = parseCheckpointText(text);
  const log = signedLogs.find(({ name }) => name === checkpoint.origin);
  ensure(log, 'LOG_INCONSISTENT', 'checkpoint: its origin is not the name of the log key that signed it');
  const cosigners = cosignersOf(note, policy, signedBy);
  ensure(
    meetsQuorum(policy, new Set(cosigners.map(({ name }) => name))),
    'QUORUM_NOT_REACHED',
    `checkpoint: cosigned by ${cosigners.length} known witnesses, which is no quorum of the policy`,
  );
  return { checkpoint, log, cosigners };
}

function cosignersOf(
  note: string | Uint8Array,
  { witnesses }: TlogPolicy,
  signedBy: readonly NoteVerifier[],
): Cosigner[] {
  const { signatures } = parseSignedNote(note);
  return witnesses.flatMap(({ name, verifier }) => {
    if (!signedBy.includes(verifier)) return [];
    const keyId = toHex(noteKeyId(verifier));
    const lines = signatures.filter((line) => line.name === verifier.name && line.keyId === keyId);
    const times = lines.map(({ signature }) => parseTimestampedSignature(signature).timestampSeconds);
    return [{ name: readable(name), verifier, timestampSeconds: Math.max(...times) }];
  });
}
