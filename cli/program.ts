/**
 * The list of subcommands and how commander shows them.
 *
 * For: pulsefold.ts and tests. Trusts: nothing. Only the file of the subcommand that was asked for is loaded; the
 * others stand in the help by their summaries here.
 */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { usageLine } from './failure.ts';

interface Entry {
  readonly name: string;
  readonly summary: string;
  readonly group: string;
  load(): Promise<{ readonly command: () => Command }>;
}

const TRY = 'Try it:';
const ROLES = 'Run a role:';
const PEOPLE = 'Identities, plans, rounds:';
const CHECK = 'Check and look up:';

export const entries: readonly Entry[] = [
  {
    name: 'demo',
    summary: 'a whole federation on this machine: real processes, real data, a result table',
    group: TRY,
    load: () => import('./commands/demo.ts'),
  },
  {
    name: 'run',
    summary: 'simulate an experiment from a YAML file: sweeps, seeds, a run folder with plots',
    group: TRY,
    load: () => import('./commands/run.ts'),
  },
  {
    name: 'simulate',
    summary: 'run an experiment once over virtual devices, up to millions: time, rate, memory',
    group: TRY,
    load: () => import('./commands/simulate.ts'),
  },
  {
    name: 'compare',
    summary: 'set finished runs side by side, paired by seed',
    group: TRY,
    load: () => import('./commands/compare.ts'),
  },
  {
    name: 'bench',
    summary: 'measure secure sums, ingest and whole rounds on this machine',
    group: TRY,
    load: () => import('./commands/bench.ts'),
  },
  {
    name: 'registrar',
    summary: 'enrolment CA: serve, initialise, mint tokens, revoke, list',
    group: ROLES,
    load: () => import('./commands/registrar.ts'),
  },
  {
    name: 'coordinator',
    summary: 'run plans: invite, collect, fold, release, keep ledger and log',
    group: ROLES,
    load: () => import('./commands/coordinator.ts'),
  },
  {
    name: 'keyholder',
    summary: 'hold a share of the committee keys: accept, certify, open sums',
    group: ROLES,
    load: () => import('./commands/keyholder.ts'),
  },
  {
    name: 'witness',
    summary: 'cosign checkpoints of the log, so that nobody can be shown another one',
    group: ROLES,
    load: () => import('./commands/witness.ts'),
  },
  {
    name: 'client',
    summary: 'take part with local data, within an own budget',
    group: ROLES,
    load: () => import('./commands/client.ts'),
  },
  {
    name: 'enrol',
    summary: 'turn a token into an identity (coordinator, keyholder, researcher, auditor)',
    group: PEOPLE,
    load: () => import('./commands/enrol.ts'),
  },
  {
    name: 'identity',
    summary: 'show the public side of an identity file',
    group: PEOPLE,
    load: () => import('./commands/identity.ts'),
  },
  {
    name: 'approver',
    summary: 'make the key with which plans are approved',
    group: PEOPLE,
    load: () => import('./commands/approver.ts'),
  },
  {
    name: 'plan',
    summary: 'check, approve and submit a plan',
    group: PEOPLE,
    load: () => import('./commands/plan.ts'),
  },
  {
    name: 'status',
    summary: 'what the coordinator is doing',
    group: PEOPLE,
    load: () => import('./commands/status.ts'),
  },
  {
    name: 'abort',
    summary: 'ask the key holders to sign the abort of a stuck round',
    group: PEOPLE,
    load: () => import('./commands/abort.ts'),
  },
  {
    name: 'audit',
    summary: 'check an exported run offline, without any secret',
    group: CHECK,
    load: () => import('./commands/audit.ts'),
  },
  {
    name: 'fuzz-rounds',
    summary: 'play rounds under crashes, bad networks and lies; check every invariant',
    group: CHECK,
    load: () => import('./commands/fuzz-rounds.ts'),
  },
  {
    name: 'data',
    summary: 'list and download public data sets; check your own CSV table',
    group: CHECK,
    load: () => import('./commands/data.ts'),
  },
  {
    name: 'epsilon',
    summary: 'epsilon at a delta, or delta at an epsilon, of a list of releases',
    group: CHECK,
    load: () => import('./commands/epsilon.ts'),
  },
  {
    name: 'params',
    summary: 'the cipher parameters and their safety margins',
    group: CHECK,
    load: () => import('./commands/params.ts'),
  },
];

function version(): string {
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** The program with the subcommand that `words` asks for loaded; `help NAME` counts as asking for NAME. */
export async function buildProgram(words: readonly string[]): Promise<Command> {
  const program = new Command('pulsefold')
    .description(
      'Federated learning where only sums can be opened, privacy budgets are enforced and everything is logged.',
    )
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .configureHelp({ helpWidth: Math.min(process.stdout.columns ?? 100, 110) })
    .addHelpText('after', '\nExample:\n  $ pulsefold demo --dataset uci-heart --epsilon 3\n');
  const named = words.filter((word) => !word.startsWith('-') && word !== 'help')[0];
  for (const entry of entries) {
    const command = entry.name === named ? (await entry.load()).command() : new Command(entry.name);
    program.addCommand(command.summary(entry.summary).helpGroup(entry.group));
  }
  prepare(program, []);
  return program;
}

/** Settings that commander does not hand down to commands made elsewhere. */
function prepare(command: Command, parents: readonly string[]): void {
  const path = [...parents, command.name()];
  const name = path.join(' ');
  command
    .exitOverride()
    .showSuggestionAfterError(true)
    .configureOutput({
      outputError: (text, write) =>
        write(
          usageLine(
            text
              .replace(/^error: /, '')
              .trim()
              .replaceAll('\n', ' '),
            name,
          ),
        ),
    });
  for (const child of command.commands) prepare(child, path);
}
