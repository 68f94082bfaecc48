/**
 * `pulsefold audit prove`: a person's or hospital's own history, from receipts and bundles.
 *
 * For: audit.ts. Trusts: the passphrase for the vault; what is proven rests on the pinned keys. No device id is printed.
 */
import { lstatSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { History, HistoryEntry, HistoryRun, OwnKeepsakes } from '../../auditor/bundle/history.ts';
import type { SignedReceipt } from '../../auditor/bundle/receipts-file.ts';
import { fromHex } from '../../crypto/bytes.ts';
import { ensure, isPulsefoldError } from '../../crypto/error.ts';
import type { SealingSecret } from '../../crypto/identity/sealed-file.ts';
import type { PersonExport } from '../../protos/person-export.ts';
import { type TrustOptions, trustOf, withTrust } from '../audit-trust.ts';
import {
  type CommonOptions,
  collect,
  leaf,
  type PassphraseOptions,
  passphraseOf,
  printJson,
  printLine,
  withPassphrase,
} from '../command.ts';
import { EXIT_FAILURE, naming, UsageError } from '../failure.ts';
import { painter, printable, renderTable } from '../terminal.ts';

interface ProveOptions extends CommonOptions, TrustOptions, PassphraseOptions {
  readonly bundle?: readonly string[];
  readonly keyFile?: string;
}

export function prove(): Command {
  const command = leaf('prove', {
    description:
      'Your own history over all epochs: which rounds, what each cost, what it adds up to, each step proven against ' +
      'the logs. Exit code 1 if a receipt is not proven or the log charges what no receipt speaks of.',
    examples: [
      'audit prove my-part.json --bundle heart.bundle --bundle sleep.bundle',
      'audit prove my-part.json',
      'audit prove ~/.pulsefold/phone --passphrase-file p.txt --bundle heart.bundle --json',
    ],
  })
    .argument(
      '<receipts>',
      "what `client export` wrote, a receipts file (JSON), or the directory of a client's vault",
    )
    .option(
      '-b, --bundle <path>',
      'bundle or run directory; repeatable. Without one of a plan, its rounds rest on the proofs in the export.',
      collect,
    )
    .option('--key-file <file>', 'file of 32 random bytes as hexadecimal that opens the vault');
  return withTrust(withPassphrase(command)).action(proveOwn);
}

async function proveOwn(path: string, options: ProveOptions): Promise<void> {
  const { withEvidence } = await import('../../auditor/bundle/verify.ts');
  const { describeFault } = await import('../../auditor/bundle/read.ts');
  const { openHistoryRun, proveHistory } = await import('../../auditor/bundle/history.ts');
  const trust = await trustOf(options);
  const audited = (options.bundle ?? []).flatMap((bundle): HistoryRun[] =>
    withEvidence(bundle, (directories, _facts, faults) => {
      ensure(
        faults.length === 0,
        'CHECKSUM_MISMATCH',
        `${bundle} is damaged: ${faults.slice(0, 3).map(describeFault).join('; ')}`,
      );
      return directories.map((directory) => openHistoryRun(directory, trust));
    }),
  );
  const { receipts, plans, ...keepsakes } = await ownPartAt(path, audited, options);
  const { ownRunOf } = await import('../../auditor/bundle/own-run.ts');
  const known = new Set(audited.map(({ parsed }) => parsed.hashHex));
  const runs = [
    ...audited,
    ...plans
      .filter(({ planHash }) => !known.has(planHash))
      .map((plan) => ownRunOf(plan, keepsakes.logProofs ?? [], trust)),
  ];
  const history = proveHistory(receipts, runs, keepsakes);
  requireHoldable(options, history);
  const pinned = trust.logKey !== undefined || trust.planHash !== undefined || trust.approvers !== undefined;
  if (options.json) printJson({ ...history, pinned });
  else printHistory(history, pinned);
  if (!history.ok) process.exitCode = EXIT_FAILURE;
}

/** Throws UsageError for a pin that nothing here can be held against: a run without its bundle has no such evidence. */
function requireHoldable(options: TrustOptions, { unaudited }: History): void {
  const given = (['policy', 'checkpoint', 'approver', 'approvals'] as const).filter(
    (name) => options[name] !== undefined,
  );
  const [own] = unaudited.filter(({ rests }) => rests === 'own proofs');
  if (own === undefined || given.length === 0) return;
  throw new UsageError(
    `${given.map((name) => `--${name}`).join(', ')}: held against bundles only, and there is none of ${own.planName} ` +
      `(${own.planHash.slice(0, 12)}): add it with --bundle; without it --plan and --log-key can be held`,
    'pulsefold audit prove',
  );
}

/** Receipts, plans, and what proves more where it was kept. */
type OwnPart = OwnKeepsakes & {
  readonly receipts: readonly SignedReceipt[];
  readonly plans: PersonExport['plans'];
};

async function ownPartAt(
  path: string,
  audited: readonly HistoryRun[],
  options: ProveOptions,
): Promise<OwnPart> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  ensure(stat, 'NOT_FOUND', `${path}: no such file or vault`);
  if (!stat.isDirectory()) {
    const { parseReceiptsFile, RECEIPTS_BYTES_MAX } = await import('../../auditor/bundle/receipts-file.ts');
    const { claimsPersonExport, parsePersonExport } = await import('../../protos/person-export.ts');
    ensure(stat.size <= RECEIPTS_BYTES_MAX, 'DATA_INVALID', `${path}: too long for receipts`);
    const bytes = new Uint8Array(await naming(path, () => readFile(path)));
    const receipts = parseReceiptsFile(bytes);
    return claimsPersonExport(bytes) ? partOf(receipts, parsePersonExport(bytes)) : { receipts, plans: [] };
  }
  // The directory of the client's config, or the vault itself.
  const vault = [path, join(path, 'vault')].find(isVault);
  ensure(vault, 'NOT_FOUND', `${path}: holds no vault; name the directory in the client's config`);
  return vaultPart(vault, audited, await secretOf(options));
}

function partOf(receipts: readonly SignedReceipt[], own: PersonExport): OwnPart {
  const { logProofs, consents, device, madeMs, plans } = own;
  const pseudonyms = device.pseudonyms.map(({ pseudonym }) => pseudonym);
  return { receipts, plans, logProofs, consents, writer: { pseudonyms, madeMs } };
}

/** A directory with sealed entries beside its key: a client's key file may have the same name as a vault's. */
const isVault = (path: string): boolean =>
  ['vault.key', 'identity.sealed'].every((name) =>
    lstatSync(join(path, name), { throwIfNoEntry: false })?.isFile(),
  );

async function secretOf(options: ProveOptions): Promise<SealingSecret> {
  const { keyFile } = options;
  if (keyFile === undefined) return { passphrase: await passphraseOf(options) };
  const text = (await naming(`${keyFile} (--key-file)`, () => readFile(keyFile, 'utf8'))).trim();
  ensure(
    /^[0-9a-f]{64}$/.test(text),
    'CONFIG_INVALID',
    `${keyFile}: expected 64 lower-case hexadecimal digits`,
  );
  return { key: fromHex(text) };
}

/** Opens the vault under the suite that one of the plans has; what it keeps is what an export has. */
async function vaultPart(
  path: string,
  audited: readonly HistoryRun[],
  secret: SealingSecret,
): Promise<OwnPart> {
  const { openVault } = await import('../../client/vault/vault.ts');
  const { readVaultReceipts } = await import('../../client/vault/receipts.ts');
  const { exportOfVault } = await import('../../client/agent/export.ts');
  const suites = new Set(audited.map(({ parsed }) => parsed.plan.suite));
  const epochs = audited.map(({ parsed }) => parsed.plan.epoch);
  let refused: unknown;
  for (const suite of suites.size > 0 ? suites : (['intl', 'gm'] as const)) {
    try {
      const vault = await openVault(path, suite, secret);
      try {
        const receipts = await readVaultReceipts(vault);
        ensure(receipts.length > 0, 'DATA_EMPTY', `${path}: the vault holds no receipt yet`);
        return partOf(receipts, await exportOfVault(vault, Date.now(), epochs));
      } finally {
        vault.close();
      }
    } catch (error) {
      if (!isPulsefoldError(error) || error.code !== 'FILE_SEALED') throw error;
      refused = error;
    }
  }
  throw refused;
}

const problemText: Readonly<Record<History['problems'][number], string>> = {
  BUNDLE_MISSING:
    'receipts of a plan that is not there: ask its operator for the bundle (audit export) and add it with --bundle',
  LOG_NOT_SHOWN:
    'nothing here proves what a receipt says of certificate, charge or being left out: add the bundle with --bundle, or ' +
    'export again while the coordinator answers (client export without --offline)',
  RECEIPT_MALFORMED: 'a receipt cannot be read',
  RECEIPT_NOT_SIGNED: "a receipt does not carry the signature of the plan's coordinator",
  RECEIPT_TWICE: 'a receipt was given twice; it counts once',
  RECEIPT_CONFLICT: 'two different receipts for one round: the coordinator contradicts itself',
  RUN_NOT_SOUND: 'the audit of a run fails, so nothing in it is proven: see audit verify',
  PIN_DIFFERS:
    'receipts of a plan that is not the pinned one (--plan), or whose log is not the pinned one (--log-key)',
  QUORUM_MISSING: 'a receipt shows a certificate or abort without the signatures of enough key holders',
  COHORT_TOO_SMALL: 'a receipt shows a certificate for fewer participants than the plan asks for',
  CERTIFICATE_NOT_IN_LOG: 'a receipt shows a certificate or abort that the log does not have',
  NOT_IN_COHORT: 'a receipt claims a place in a cohort that its proof does not show',
  EXCLUSION_INVALID: 'a receipt says that you were left out of a cohort, and its list does not show it',
  NOT_CHARGED_IN_LOG: 'certified, yet the log charges nothing: the public accounts are too low',
  CHARGE_DIFFERS: 'the log charges another amount than the receipt states',
  CHARGED_WITHOUT_RECEIPT: 'the log charges you for a round that you have no receipt of',
  CHARGED_AGAINST_RECEIPT: 'the log charges you for a round that your receipt says you were not in',
  LOG_PROOF_INVALID: 'a proof of logging that you kept does not hold, or is of another leaf',
  LOG_FORKED:
    'your proofs contradict this bundle or each other, so you were shown two logs: show them to an auditor',
  CONSENT_NOT_IN_LOG: 'a consent that you gave does not stand in the log as you gave it',
  CONSENT_FORGED:
    'the log has a consent under your pseudonym that you never gave: the coordinator made it up',
};

const short = (entry: HistoryEntry): string => `${entry.planName} (${entry.planHash.slice(0, 8)})`;
const epsilonText = (epsilon: number): string => (Number.isFinite(epsilon) ? epsilon.toFixed(4) : 'no bound');

function printHistory(history: History, pinned: boolean): void {
  const paint = painter();
  const { ok, entries, epochs, totals, problems } = history;
  printLine(
    ok
      ? paint('green', `PROVEN: ${entries.length} rounds from ${history.receipts} receipts`)
      : paint('red', 'NOT PROVEN: see the last lines'),
  );
  process.stdout.write(
    renderTable(
      [
        'time (UTC)',
        'plan',
        'epoch',
        'round',
        'outcome',
        'cohort',
        'charged',
        'ε alone',
        'log leaf',
        'own proof of',
        'proven',
      ],
      entries.map((entry) => [
        entry.timeMs === undefined
          ? '–'
          : new Date(entry.timeMs).toISOString().slice(0, 16).replace('T', ' '),
        short(entry),
        entry.epoch,
        entry.round,
        entry.outcome,
        entry.cohortCount,
        entry.charged ? 'yes' : 'no',
        epsilonText(entry.epsilonAlone),
        entry.leaf,
        entry.logProofs.map((what) => (what === 'decision' ? 'round' : 'charge')).join(', ') || '–',
        entry.proven ? 'yes' : entry.problems.join(', '),
      ]),
    ),
  );
  const totalRows = [
    ...epochs.map((total) => [
      `epoch ${total.epoch}`,
      total.unit,
      total.rounds,
      epsilonText(total.epsilon),
      total.delta,
    ]),
    ...totals.map((total) => [
      'all epochs',
      total.unit,
      total.rounds,
      epsilonText(total.epsilon),
      total.delta,
    ]),
  ];
  process.stdout.write(renderTable(['over', 'unit', 'rounds', 'ε', 'δ'], totalRows));
  const { logProofs, consents } = history;
  if (logProofs.given > 0)
    printLine(`${logProofs.agree} of ${logProofs.given} own proofs of logging agree with the logs here.`);
  if (consents.given > 0)
    printLine(`${consents.proven} of ${consents.given} own consents stand in the logs here.`);
  for (const { planHash, planName, rests } of history.unaudited)
    printLine(
      rests === 'unknown'
        ? `Neither plan nor bundle of ${planHash.slice(0, 12)}.`
        : `No bundle of ${planName} (${planHash.slice(0, 12)}): its rounds rest on your own proofs. Who approved the plan was ` +
            'not checked. Only a bundle shows that, that nothing else was charged to you, that no consent was made up, ' +
            'and that the run passes its audit.',
    );
  printLine(
    'ε is recomputed from the plans and certified cohorts; it holds for what these bundles show, no more.',
  );
  if (!pinned)
    printLine(
      'Neither log key, plan nor approver was pinned: this shows that receipts, proofs and bundles agree, not who signed ' +
        'them (--log-key, --plan).',
    );
  for (const problem of problems) printLine(paint('red', printable(`${problem}: ${problemText[problem]}`)));
}
