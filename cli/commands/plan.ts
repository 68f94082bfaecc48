/**
 * `pulsefold plan check|approve|submit`: from a researcher's YAML to a queued plan.
 *
 * For: program.ts. Trusts: nothing in the plan. Approvals lie beside it, in FILE.approvals.json.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { toHex, utf8 } from '../../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import type { ParsedPlan, PlanApproval } from '../../protos/plan.ts';
import { type AdminOptions, submitReply, withAdmin, withAdminClient } from '../admin.ts';
import {
  type CommonOptions,
  group,
  leaf,
  type PassphraseOptions,
  passphraseOf,
  printResult,
  withPassphrase,
} from '../command.ts';
import { naming } from '../failure.ts';
import { planFacts, planFields } from '../plan-facts.ts';

export function command(): Command {
  return group('plan', {
    description: 'Plans: what a researcher proposes, approvers sign and everybody binds to by its hash.',
    examples: [
      'plan check heart.yaml',
      'plan approve heart.yaml --approver ethics-board --key ethics-board.key',
    ],
  })
    .addCommand(check())
    .addCommand(approve())
    .addCommand(submit());
}

async function readPlan(file: string): Promise<ParsedPlan> {
  const { parsePlanText } = await import('../../protos/plan.ts');
  const text = await naming(`${file} (the plan)`, () => readFile(file, 'utf8'));
  try {
    return parsePlanText(text);
  } catch (cause) {
    if (!(cause instanceof PulsefoldError)) throw cause;
    throw new PulsefoldError(cause.code, `${file}: ${cause.message}`, { cause });
  }
}

export const approvalsFileOf = (planFile: string): string => `${planFile}.approvals.json`;

async function readApprovals(file: string): Promise<PlanApproval[]> {
  const { decodeApprovals } = await import('../../protos/approvals.ts');
  const text = await readFile(file, 'utf8');
  try {
    return decodeApprovals(text);
  } catch (cause) {
    throw new PulsefoldError(
      'PLAN_INVALID',
      `${file}: not a list of approvals; move it away and approve again`,
      { cause },
    );
  }
}

function check(): Command {
  return leaf('check', {
    description: 'Validate a plan; print its hash and what it costs: privacy, noise, bytes per upload.',
    examples: ['plan check heart.yaml', 'plan check heart.yaml --json'],
  })
    .argument('<file>', 'plan (YAML or JSON)')
    .action(async (file: string, options: CommonOptions) => {
      const facts = await planFacts(await readPlan(file));
      printResult(options, facts, planFields(facts));
    });
}

interface ApproveOptions extends CommonOptions, PassphraseOptions {
  readonly approver: string;
  readonly key: string;
}

function parseApproverId(text: string): string {
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(text))
    throw new InvalidArgumentError('Expected lower-case letters, digits, dashes.');
  return text;
}

function approve(): Command {
  return withPassphrase(
    leaf('approve', {
      description:
        'Check a plan, sign its hash and add the signature to FILE.approvals.json. Read `plan check` first.',
      examples: ['plan approve heart.yaml --approver ethics-board --key ethics-board.key'],
    })
      .argument('<file>', 'plan (YAML or JSON)')
      .requiredOption('--approver <id>', 'the id under which configs pin the key', parseApproverId)
      .requiredOption('--key <file>', 'key file (pulsefold approver keygen)'),
  ).action(async (file: string, options: ApproveOptions) => {
    const parsed = await readPlan(file);
    // A plan whose noise does not keep its stated epsilon is not worth a signature.
    const facts = await planFacts(parsed);
    const { loadApproverKey } = await import('../approver-key.ts');
    const { suite, key } = await loadApproverKey(options.key, await passphraseOf(options));
    ensure(
      suite === parsed.plan.suite,
      'PLAN_INVALID',
      `${options.key} (--key) belongs to suite ${suite}, the plan states ${parsed.plan.suite}: use a key of that suite`,
    );
    const { APPROVALS_MAX } = await import('../../protos/approval-policy.ts');
    const { approvePlan } = await import('../../protos/plan.ts');
    const approvalsFile = approvalsFileOf(file);
    const earlier = existsSync(approvalsFile) ? await readApprovals(approvalsFile) : [];
    const others = earlier.filter((approval) => approval.approverId !== options.approver);
    ensure(
      others.length < APPROVALS_MAX,
      'PLAN_INVALID',
      `${approvalsFile}: at most ${APPROVALS_MAX} approvals`,
    );
    const approvals = [...others, approvePlan(parsed, options.approver, key)];
    const { encodeApprovals } = await import('../../protos/approvals.ts');
    const { writeFileAtomic } = await import('../../protos/transport/atomic-file.ts');
    await writeFileAtomic(approvalsFile, utf8(`${encodeApprovals(approvals)}\n`), 0o644);
    const { planHash, name } = facts;
    printResult(
      options,
      { planHash, approver: options.approver, approvals: approvals.length, file: approvalsFile },
      [
        ['plan', `${name} (${planHash})`],
        ['approved by', approvals.map((approval) => approval.approverId).join(', ')],
        ['written to', approvalsFile],
      ],
    );
  });
}

function submit(): Command {
  return withAdmin(
    leaf('submit', {
      description:
        'Send a plan and its approvals to a coordinator; it runs when the plans before it have ended.',
      examples: ['plan submit heart.yaml --coordinator localhost:7450 --identity me.identity'],
    }).argument('<file>', 'plan (YAML or JSON), approved'),
  ).action(async (file: string, options: AdminOptions) => {
    const { parse } = await import('../../protos/fields.ts');
    const parsed = await readPlan(file);
    const approvalsFile = approvalsFileOf(file);
    ensure(
      existsSync(approvalsFile),
      'PLAN_NOT_APPROVED',
      `${approvalsFile} is missing: run "pulsefold plan approve" first`,
    );
    const approvals = await readApprovals(approvalsFile);
    const request = { plan: parsed.bytes, approvals };
    const reply = await withAdminClient(options, (client) =>
      client.call('submitPlan', request, { idempotent: true }),
    );
    const planHash = toHex(parse(submitReply, reply).planHash);
    ensure(
      planHash === parsed.hashHex,
      'WRONG_PLAN',
      'the coordinator answered with the hash of another plan',
    );
    printResult(options, { planHash, submitted: true }, [
      ['plan', `${parsed.plan.name} (${planHash})`],
      ['state', 'queued'],
    ]);
  });
}
