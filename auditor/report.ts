/**
 * An audit result as lines of text for a terminal.
 *
 * Trusts: nothing. May be called by: cli/.
 */
import type { AuditResult } from './verify.ts';

const place = (finding: AuditResult['findings'][number]): string => {
  const parts = [
    finding.round === undefined ? '' : `round ${finding.round}`,
    finding.leaf === undefined ? '' : `leaf ${finding.leaf}`,
  ].filter((part) => part !== '');
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`;
};

/** Verdict, numbers, then each finding on its own line, errors first. */
export function formatAudit(result: AuditResult): string[] {
  const { rounds, budget, rights } = result;
  const lines = [
    result.ok ? 'OK: the run agrees with itself and its signatures' : 'FAILED: do not rely on this run',
    `log       ${result.leaves} leaves, root ${result.root}`,
    `plan      ${result.planName ?? 'unreadable'} ${result.planHash ?? ''}`,
    `rounds    ${rounds.certified} certified, ${rounds.aborted} aborted, ${rounds.released} released`,
  ];
  if (budget !== undefined)
    lines.push(
      `privacy   ε = ${budget.epsilon.toFixed(4)} of ${budget.epsilonBudget} in this budget epoch at δ = ${budget.delta}, ` +
        `holds while at most γ = ${Number(budget.gamma.toPrecision(4))} of a cohort is corrupt; ` +
        `${budget.participantsCharged} participants charged`,
    );
  else if (result.planHash !== undefined)
    lines.push('privacy   none: this plan runs without differential privacy');
  if (rights !== undefined) {
    const asked =
      rights.consenting === undefined
        ? 'this plan asks for no consent'
        : `${rights.consenting} consented to this plan's purpose`;
    const { consents, withdrawals, accesses, erasures } = rights;
    lines.push(
      `rights    ${asked}; in the log: ${consents} consents, ${withdrawals} withdrawals, ${accesses} reports to people, ` +
        `${erasures} erasures`,
    );
  }
  const sorted = [...result.findings].sort((a, b) => a.severity.localeCompare(b.severity));
  return [...lines, ...sorted.map((f) => `${f.severity.padEnd(9)} ${f.code}: ${f.message}${place(f)}`)];
}
