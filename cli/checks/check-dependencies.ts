/**
 * Runs the dependency rule (.dependency-cruiser.cjs) over the source directories; part of `npm run check`.
 *
 * Fails when it saw too few modules: a rule that looks at nothing always holds. Trusts: dependency-cruiser.
 */
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { cruise, type IConfiguration, type ICruiseResult } from 'dependency-cruiser';

export const sourceDirectories = [
  'cli',
  'experiments',
  'coordinator',
  'client',
  'registrar',
  'keyholder',
  'auditor',
  'protos',
  'crypto',
];

/** Less than this and the check looked in the wrong place. */
export const MODULES_MIN = 50;

export interface DependencyReport {
  /** Modules of this project, packages not counted. */
  readonly modules: number;
  readonly violations: readonly { readonly rule: string; readonly from: string; readonly to: string }[];
}

const configuration = (): IConfiguration =>
  createRequire(import.meta.url)('../../.dependency-cruiser.cjs') as IConfiguration;

export const ruleNames = (): string[] => (configuration().forbidden ?? []).map(({ name }) => name ?? '');

/** Checks the tree under `root`, which has its own node_modules or none. */
export async function checkDependencies(
  root: string,
  directories: readonly string[] = sourceDirectories,
): Promise<DependencyReport> {
  const { options, ...ruleSet } = configuration();
  // `tsConfig` would be read from the working directory; imports carry their extensions and need no paths from it.
  const { tsConfig: _unused, ...cruiseOptions } = options ?? {};
  const { output } = await cruise([...directories], {
    ...cruiseOptions,
    baseDir: root,
    ruleSet,
    validate: true,
  });
  const { modules, summary } = output as ICruiseResult;
  return {
    modules: modules.filter(({ source }) =>
      directories.some((directory) => source.startsWith(`${directory}/`)),
    ).length,
    violations: summary.violations
      .filter(({ rule }) => rule.severity === 'error')
      .map(({ rule, from, to, cycle }) => ({
        rule: rule.name,
        from,
        to: cycle ? cycle.map(({ name }) => name).join(' → ') : to,
      })),
  };
}

if (import.meta.main) {
  const { modules, violations } = await checkDependencies(resolve(import.meta.dirname, '..', '..'));
  for (const { rule, from, to } of violations) process.stderr.write(`error ${rule}: ${from} → ${to}\n`);
  if (modules < MODULES_MIN) {
    process.stderr.write(
      `error: the dependency check saw ${modules} modules, expected at least ${MODULES_MIN}\n`,
    );
    process.exitCode = 1;
  } else if (violations.length > 0) {
    process.stderr.write(`${violations.length} violations; the rules stand in .dependency-cruiser.cjs\n`);
    process.exitCode = 1;
  } else {
    process.stdout.write(`dependencies: ${modules} modules, no violation\n`);
  }
}
