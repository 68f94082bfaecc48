/**
 * `pulsefold audit report`: a month of evidence as a document for people who answer for it.
 *
 * For: audit.ts. Trusts: only the keys given as options; the report says what was taken on trust.
 */
import { lstatSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Period } from '../../auditor/report/facts.ts';
import type { ReportFormat } from '../../auditor/report/make.ts';
import type { Language } from '../../auditor/report/text.ts';
import { ensure } from '../../crypto/error.ts';
import { type TrustOptions, trustOf, withTrust } from '../audit-trust.ts';
import { type CommonOptions, leaf, printResult } from '../command.ts';
import { EXIT_FAILURE, naming } from '../failure.ts';
import { formatBytes } from '../terminal.ts';

interface ReportOptions extends CommonOptions, TrustOptions {
  readonly month?: string;
  readonly format: ReportFormat;
  readonly language: Language;
  readonly out: string;
  readonly force?: true;
}

function parseMonth(text: string): string {
  if (!/^(20[2-9]\d|21\d\d)-(0[1-9]|1[0-2])$/.test(text))
    throw new InvalidArgumentError('Expected a month such as 2026-11.');
  return text;
}

export function report(): Command {
  const command = leaf('report', {
    description:
      'Audit, and write what was found in a month as a document: findings first, privacy spent, rounds, what the ' +
      'figures rest on, NIST SP 800-226, the Deployments Registry, GDPR, PIPL with GB/T 35273. Names are masked. Exit ' +
      'code 1 if the audit does not hold.',
    examples: [
      'audit report heart.bundle --month 2026-11 --out report.html',
      'audit report heart.bundle sleep.bundle --format pdf --language zh --out report.pdf',
    ],
  })
    .argument('<evidence...>', 'bundles or run directories')
    .option(
      '--month <month>',
      'calendar month in UTC (default: that of the last entry in the logs)',
      parseMonth,
    )
    .addOption(
      new Option('--format <format>', 'kind of file').choices(['html', 'pdf', 'json']).default('html'),
    )
    .addOption(new Option('--language <language>', 'English or 简体中文').choices(['en', 'zh']).default('en'))
    .requiredOption('-o, --out <file>', 'file to write')
    .option('--force', 'write over a file that exists');
  return withTrust(command).action(writeReport);
}

async function writeReport(evidence: string[], options: ReportOptions): Promise<void> {
  const { out, format, language } = options;
  ensure(
    options.force || lstatSync(out, { throwIfNoEntry: false }) === undefined,
    'CONFIG_INVALID',
    `${out} exists already; choose another name, or --force`,
  );
  const { gatherFacts, lastMonth, periodOf, renderReport } = await import('../../auditor/report/make.ts');
  const { writeFileAtomicSync } = await import('../../protos/transport/atomic-file.ts');
  const trust = await trustOf(options);
  const period: Period = periodOf(options.month ?? lastMonth(evidence));
  const facts = gatherFacts({ evidence, period, trust, madeMs: Date.now() });
  const bytes = await renderReport(facts, language, format);
  await naming(out, () => writeFileAtomicSync(out, bytes, 0o644));
  const errors = facts.plans.reduce(
    (n, plan) => n + plan.findings.filter(({ severity }) => severity === 'error').length,
    facts.damage.length,
  );
  printResult(
    options,
    { ok: facts.ok, out, format, language, month: period.month, bytes: bytes.length, errors },
    [
      ['report', `${out} (${formatBytes(bytes.length)})`],
      ['month', period.month],
      ['audit', facts.ok ? 'holds' : `DOES NOT HOLD: ${errors} errors, see the report`],
    ],
  );
  if (!facts.ok) process.exitCode = EXIT_FAILURE;
}
