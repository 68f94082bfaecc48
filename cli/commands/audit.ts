/**
 * `pulsefold audit`: export, verify, prove, report. Anybody re-checks a run, offline and without a secret.
 *
 * For: program.ts. Trusts: only the keys given as options; without them the result says what was taken on trust.
 */
import type { Command } from 'commander';
import type { AuditedEvidence, AuditedRun } from '../../auditor/bundle/verify.ts';
import { type TrustOptions, trustOf, withTrust } from '../audit-trust.ts';
import { type CommonOptions, group, leaf, printJson, printLine, printResult } from '../command.ts';
import { EXIT_FAILURE } from '../failure.ts';
import { formatBytes, painter, printable } from '../terminal.ts';
import { canary } from './audit-canary.ts';
import { prove } from './audit-prove.ts';
import { report } from './audit-report.ts';

export function command(): Command {
  return group('audit', {
    description: 'Check what others claim, offline and without any secret.',
    examples: [
      'audit export runs/20261122-heart --out heart.bundle',
      'audit verify heart.bundle',
      'audit report heart.bundle --month 2026-11 --format pdf --out report.pdf',
      'audit prove receipts.json --bundle heart.bundle',
    ],
  })
    .addCommand(exportCommand())
    .addCommand(verify())
    .addCommand(report())
    .addCommand(prove())
    .addCommand(canary());
}

function exportCommand(): Command {
  return leaf('export', {
    description:
      'Pack run directories into one file that can be checked anywhere: plan, approvals, model, opened sums, ledger, ' +
      'log. A plain tar archive; nothing but the evidence goes in.',
    examples: ['audit export runs/20261122-heart --out heart.bundle'],
  })
    .argument('<directories...>', 'run directories, or a directory of them')
    .requiredOption('-o, --out <file>', 'bundle to write; must not exist')
    .action(async (directories: string[], options: CommonOptions & { readonly out: string }) => {
      const { findRuns } = await import('../../auditor/bundle/run-files.ts');
      const { writeBundle } = await import('../../auditor/bundle/write.ts');
      const { verifyEvidence } = await import('../../auditor/bundle/verify.ts');
      const bundle = writeBundle(directories.flatMap(findRuns), options.out);
      const { ok } = verifyEvidence(options.out);
      printResult(options, { ...bundle, auditOk: ok }, [
        ['bundle', bundle.path],
        ['size', `${formatBytes(bundle.bytes)}, ${bundle.members} files of ${bundle.runs.length} runs`],
        ['sha256', bundle.sha256],
        ['audit', ok ? 'passes' : 'FAILS: the bundle holds what the directory holds; see audit verify'],
        ['next', `pulsefold audit verify ${bundle.path}`],
      ]);
    });
}

function verify(): Command {
  return withTrust(
    leaf('verify', {
      description:
        'Recompute the log tree, check every signature and sum, derive every charge again. Exit code 1 if it does not ' +
        'hold. Of a bundle every byte is compared, and a damaged place is named.',
      examples: [
        'audit verify heart.bundle',
        'audit verify runs/heart-0123456789ab --log-key log.key --json',
      ],
    }).argument('<evidence>', 'bundle, or run directory that a coordinator exported'),
  ).action(verifyEvidenceAt);
}

async function verifyEvidenceAt(path: string, options: CommonOptions & TrustOptions): Promise<void> {
  const trust = await trustOf(options);
  const { verifyEvidence } = await import('../../auditor/bundle/verify.ts');
  const { basisOf } = await import('../../auditor/report/basis.ts');
  const audited = verifyEvidence(path, trust);
  const basis = (run: AuditedRun) => basisOf([run.result], trust, { sampled: run.sampled });
  if (options.json) {
    if (audited.runs.length === 0) printJson({ ok: false, ...evidenceJson(audited) });
    // One object a run; of one run alone, what it was before there were bundles.
    for (const run of audited.runs) printJson({ ...run.result, ...evidenceJson(audited), basis: basis(run) });
  } else await printAudited(audited, basis);
  if (!audited.ok) process.exitCode = EXIT_FAILURE;
}

const evidenceJson = ({ evidence, faults }: AuditedEvidence): object =>
  evidence.kind === 'bundle' ? { bundle: evidence, bundleFaults: faults } : {};

async function printAudited(
  { evidence, faults, runs }: AuditedEvidence,
  basis: (run: AuditedRun) => readonly { readonly basis: string; readonly statement: string }[],
): Promise<void> {
  const { formatAudit } = await import('../../auditor/report.ts');
  const { describeFault } = await import('../../auditor/bundle/read.ts');
  const paint = painter();
  if (faults.length > 0) {
    printLine(
      paint('red', `DAMAGED: ${faults.length} places differ from what was exported; nothing was audited`),
    );
    for (const fault of faults) printLine(printable(describeFault(fault)));
    return;
  }
  if (evidence.kind === 'bundle')
    printLine(`bundle    ${evidence.members} files intact, SHA-256 ${evidence.sha256}`);
  for (const run of runs) {
    const [verdict, ...lines] = formatAudit(run.result).map(printable);
    printLine(paint(run.result.ok ? 'green' : 'red', verdict ?? ''));
    for (const line of lines) printLine(line);
    for (const { basis: kind, statement } of basis(run))
      printLine(paint('dim', printable(`${kind.padEnd(9)} ${statement}`)));
  }
}
