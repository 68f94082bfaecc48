/**
 * Nothing that weakens a role or watches a client can be reached from what runs in production: role commands, package
 * exports, configuration files (DESIGN §10). Read off the syntax trees of all sources, and each check is shown a
 * planted violation that it must find.
 *
 * What is guarded: `holderRules` and `hooks` of a key holder, `sealer` and `random` of a client, seeded randomness,
 * test support, everything under experiments/. The demo, which may watch its own clients in crash runs, is in
 * no-observer-demo.test.ts.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { entries } from '../../cli/program.ts';
import {
  importsOf,
  isProduct,
  nodesIn,
  PRODUCTS,
  planted,
  reachableFrom,
  root,
  type Sources,
  sources,
  TEST_SUPPORT,
  treeOf,
  withLine,
} from './testing-sources.ts';

/** Commands that are experiments: everything else in cli/ is a role, or talks to one. */
const EXPERIMENT_COMMANDS = [
  'cli/commands/demo.ts',
  'cli/commands/data.ts',
  'cli/commands/data-check.ts',
  // Simulations: all parties in one process, under keys that a seed makes (experiments/simulation).
  'cli/commands/simulate.ts',
  'cli/commands/compare.ts',
  'cli/commands/run.ts',
  // Plays rounds on a deployment of its own, in one process, and holds nobody's key.
  'cli/commands/fuzz-rounds.ts',
  ...readdirSync(join(root, 'cli/commands'))
    .filter((name) => /^bench(-[a-z]+)?\.ts$/.test(name))
    .map((name) => `cli/commands/${name}`),
  // Drives the clients' code on made-up canaries (experiments/canary); `audit` itself names no experiment.
  'cli/commands/audit.ts',
  'cli/commands/audit-canary.ts',
];
/** A benchmark makes whole committees in one process; it is no role and holds nobody's key. */
const BENCH_MAY_REACH = ['crypto/secagg/local-ceremony.ts'];

/** Products that import experiments or test support, or name them in a string (a path to spawn, say). */
function forbiddenImports(files: Sources): string[] {
  const found: string[] = [];
  for (const [path, text] of files) {
    if (!isProduct(path)) continue;
    const mayTryOut = EXPERIMENT_COMMANDS.includes(path);
    for (const target of importsOf(path, text))
      if (TEST_SUPPORT.test(target) || (target.startsWith('experiments/') && !mayTryOut))
        found.push(`${path} → ${target}`);
    if (mayTryOut || !/experiments|testing|observed-/.test(text)) continue;
    for (const node of nodesIn(treeOf(text)))
      if (ts.isStringLiteralLike(node) && /(^|\/)experiments\/|testing[^/ ]*\.ts|observed-/.test(node.text))
        found.push(`${path} names ${node.text}`);
  }
  return found;
}

describe('imports', () => {
  it('of products reach neither experiments nor test support', () => {
    expect([...sources.keys()].filter(isProduct).length).toBeGreaterThan(150);
    expect(forbiddenImports(sources)).toEqual([]);
  });

  it.each([
    ['client/agent/agent.ts', "import '../../experiments/e2e/observed-client-host.ts';"],
    ['keyholder/server.ts', "export { Committee } from './testing.ts';"],
    ['coordinator/server.ts', "const load = () => import('./testing-bench.ts');"],
    ['registrar/registrar.ts', "import type { Fixture } from './registrar.fixture.ts';"],
    ['auditor/verify.ts', "import { planValue } from './testing.ts';"],
    ['protos/plan.ts', "import { exposure } from '../experiments/e2e/testing-attacker.ts';"],
    ['crypto/secagg/bfv.ts', "export * from './local-ceremony.ts';"],
    ['cli/commands/client.ts', "import { serveHost } from '../../experiments/demo/client-host.ts';"],
    ['cli/role.ts', "const host = join(here, '..', 'experiments/e2e/observed-client-host.ts');"],
    ['cli/commands/data.ts', "import { testProgram } from '../testing.ts';"],
  ])('%s: %s would be found', (path, line) => {
    expect(sources.has(path)).toBe(true);
    expect(forbiddenImports(withLine(path, line))).not.toEqual([]);
  });

  it('of a role command lead to nothing else, even in a roundabout way; demo and data to no test support', () => {
    const commands = entries.map(({ name }) => `cli/commands/${name}.ts`);
    for (const command of commands) {
      expect(sources.has(command)).toBe(true);
      const reached = [...reachableFrom(sources, [command, 'cli/pulsefold.ts'])];
      expect(reached.length).toBeGreaterThan(5);
      const support = reached.filter((path) => TEST_SUPPORT.test(path));
      expect(support.filter((path) => !BENCH_MAY_REACH.includes(path))).toEqual([]);
    }
    const roles = commands.filter((command) => !EXPERIMENT_COMMANDS.includes(command));
    // Not from pulsefold.ts: its list of commands leads to the demo as well.
    const experiments = (files: Sources) =>
      [...reachableFrom(files, roles)].filter((path) => path.startsWith('experiments/'));
    expect(experiments(sources)).toEqual([]);
    expect([...reachableFrom(sources, roles)].filter((path) => TEST_SUPPORT.test(path))).toEqual([]);
    const detour = withLine('client/agent/clock.ts', "import '../../cli/commands/demo.ts';");
    expect(experiments(detour).length).toBeGreaterThan(5);
  });
});

interface Package {
  readonly exports: Readonly<Record<string, string>>;
  readonly files: readonly string[];
  readonly bin: Readonly<Record<string, string>>;
}
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Package;

/** Names that would let a caller weaken or watch a role. */
const DANGEROUS = [
  ...[
    'ClientAgent',
    'openClient',
    'sealRound',
    'protectContribution',
    'loadSealer',
    'protectPersonWithoutNoise',
    'PersonProtector',
    'RoundProtector',
    'inviteDevices',
    'acknowledgeUploads',
  ],
  ...['KeyHolderService', 'holderRules', 'noHooks', 'PlanBook', 'Custody', 'HolderStore'],
  ...[
    'seededRandom',
    'SeededStreams',
    'XofStream',
    'runCeremony',
    'RoundBudget',
    'ActiveRound',
    'Coordinator',
  ],
];

function exportFindings({ exports, files }: Pick<Package, 'exports' | 'files'>): string[] {
  const found: string[] = [];
  for (const [name, target] of Object.entries(exports)) {
    const path = posix.normalize(target);
    if (/[*]/.test(name + target)) found.push(`${name}: a pattern exports what nobody looked at`);
    if (path === 'package.json') continue;
    if (!sources.has(path)) found.push(`${name}: ${path} is not a source file`);
    for (const reached of reachableFrom(sources, [path]))
      if (TEST_SUPPORT.test(reached) || reached.startsWith('experiments/'))
        found.push(`${name} reaches ${reached}`);
  }
  for (const pattern of ['*.test.ts', 'testing*.ts', '*.fixture.ts', '*.contract.ts'])
    if (!files.includes(`!**/${pattern}`)) found.push(`files: ${pattern} would be published`);
  return found;
}

describe('package exports', () => {
  it('name the roles, protos and crypto, and reach neither experiments nor test support', () => {
    const names = ['auditor', 'client', 'coordinator', 'crypto', 'keyholder', 'protos', 'registrar'];
    expect(Object.keys(manifest.exports).sort()).toEqual(
      [...names.map((name) => `./${name}`), './package.json'].sort(),
    );
    expect(exportFindings(manifest)).toEqual([]);
  });

  it('would be found to do so', () => {
    const { exports, files } = manifest;
    const also = (name: string, target: string) =>
      exportFindings({ files, exports: { ...exports, [name]: target } });
    expect(also('./x', './keyholder/testing.ts')).not.toEqual([]);
    expect(also('./x', './experiments/demo/client-host.ts')).not.toEqual([]);
    expect(also('./x', './cli/commands/demo.ts')).not.toEqual([]);
    expect(also('./*', './*.ts')).not.toEqual([]);
    expect(
      exportFindings({ exports, files: files.filter((pattern) => !pattern.includes('testing')) }),
    ).toHaveLength(1);
  });

  it('offer nothing that takes rules, hooks, a sealer or a source of randomness', async () => {
    for (const [name, target] of Object.entries(manifest.exports)) {
      if (target.endsWith('.json')) continue;
      const offered = Object.keys((await import(join(root, target))) as object);
      expect(offered.length, name).toBeGreaterThan(0);
      expect(
        offered.filter((one) => DANGEROUS.includes(one)),
        name,
      ).toEqual([]);
    }
    // The list is of names that exist: a renamed one would guard nothing.
    const declared = new Set(
      [...sources].flatMap(([path, text]) =>
        isProduct(path) || path.endsWith('local-ceremony.ts')
          ? [...text.matchAll(/^export (?:async )?(?:class|const|function) (\w+)/gm)].map(([, one]) => one!)
          : [],
      ),
    );
    expect(DANGEROUS.filter((name) => !declared.has(name))).toEqual([]);
    const { openClient } = await import('../../client/agent/join.ts');
    expect(DANGEROUS.includes(openClient.name)).toBe(true);
  });

  it('take options of no such name: runClient, runKeyHolder, runCoordinator, startRegistrar', () => {
    expect(optionNames(sources, 'client/agent/join.ts', 'RunClientOptions')).toEqual([
      'engine',
      'logger',
      'signal',
    ]);
    expect(optionNames(sources, 'coordinator/server.ts', 'CoordinatorOptions')).toEqual(['onProgress']);
    expect(parameterCount(sources, 'keyholder/server.ts', 'runKeyHolder')).toBe(1);
    const registrar = optionNames(sources, 'registrar/registrar.ts', 'StartRegistrarOptions');
    expect(registrar.filter((name) => FORBIDDEN_FIELD.test(name))).toEqual([]);
    const more = planted({
      'client/agent/join.ts': 'export interface RunClientOptions { readonly sealer?: Sealer }',
    });
    expect(optionNames(more, 'client/agent/join.ts', 'RunClientOptions')).toEqual(['sealer']);
  });
});

function optionNames(files: Sources, path: string, name: string): string[] {
  for (const node of nodesIn(treeOf(files.get(path)!)))
    if (ts.isInterfaceDeclaration(node) && node.name.text === name)
      return node.members.map((member) => member.name!.getText()).sort();
  throw new Error(`no interface ${name} in ${path}`);
}

function parameterCount(files: Sources, path: string, name: string): number {
  for (const node of nodesIn(treeOf(files.get(path)!)))
    if (ts.isFunctionDeclaration(node) && node.name?.text === name) return node.parameters.length;
  throw new Error(`no function ${name} in ${path}`);
}

const CONFIGURATIONS = PRODUCTS.map((role) => (role === 'client' ? 'client/agent' : role))
  .map((directory) => `${directory}/config.ts`)
  .filter((path) => sources.has(path));
const FORBIDDEN_FIELD =
  /rule|hook|sealer|random|seed|noise|observ|spy|watch|test|insecure|weak|skip|disable|unsafe|force|debugd|fake/i;

/** Fields that reach where they must not, and objects that would let an unknown field pass. */
function configurationFindings(files: Sources): string[] {
  const found: string[] = [];
  for (const path of CONFIGURATIONS)
    for (const node of nodesIn(treeOf(files.get(path)!))) {
      if (ts.isPropertyAssignment(node) || ts.isShorthandPropertyAssignment(node)) {
        const name = node.name.getText().replaceAll(/['"]/g, '');
        if (FORBIDDEN_FIELD.test(name)) found.push(`${path}: field ${name}`);
      }
      if (!ts.isPropertyAccessExpression(node)) continue;
      const method = node.name.text;
      const loose = ['object', 'looseObject', 'any', 'unknown', 'record', 'passthrough', 'loose', 'catchall'];
      if (loose.includes(method)) found.push(`${path}: ${node.getText().split('\n')[0]}`);
    }
  return found;
}

describe('configuration files', () => {
  it('of the four roles have no field that weakens, watches or seeds, and refuse unknown ones', () => {
    expect(CONFIGURATIONS).toHaveLength(4);
    expect(configurationFindings(sources)).toEqual([]);
  });

  it.each([
    'const x = z.strictObject({ holderRules: z.string() });',
    "const x = z.strictObject({ 'noiseSeed': z.string() });",
    'const hooks = z.string(); const x = z.strictObject({ hooks });',
    'const x = z.object({ directory: path });',
    'const x = schema.loose();',
    'const x = z.strictObject({ extra: z.any() });',
  ])('with %j would be found', (line) => {
    for (const path of CONFIGURATIONS) expect(configurationFindings(withLine(path, line))).toHaveLength(1);
  });
});

/** Who may make something that a seed predicts: batches and initial weights, which are public or harmless. */
const MAY_SEED = ['client/training/row-order.ts', 'client/training/tfjs-run.ts', 'protos/model.ts'];
/** XOF expansion of transcripts and keys; named `seeded` because the stream is as public as its input. */
const MAY_EXPAND = [
  'crypto/he/partial.ts',
  'crypto/secagg/ceremony-commitments.ts',
  'crypto/secagg/ceremony-opening.ts',
];

/** Imports, re-exports and whole-module imports that give a product `name` of the module `from`. */
function importersOf(files: Sources, name: string, from: string): string[] {
  const found: string[] = [];
  for (const [path, text] of files) {
    if (!isProduct(path) || !text.includes(posix.basename(from))) continue;
    for (const node of nodesIn(treeOf(text))) if (takes(path, node, name, from)) found.push(path);
  }
  return [...new Set(found)].sort();
}

function takes(path: string, node: ts.Node, name: string, from: string): boolean {
  const leadsTo = (specifier: ts.Node | undefined): boolean =>
    specifier !== undefined &&
    ts.isStringLiteralLike(specifier) &&
    posix.join(posix.dirname(path), specifier.text) === from;
  const named = (list: ts.NodeArray<ts.ImportSpecifier | ts.ExportSpecifier>): boolean =>
    list.some((one) => (one.propertyName ?? one.name).text === name);
  if (ts.isImportDeclaration(node) && leadsTo(node.moduleSpecifier)) {
    const bindings = node.importClause?.namedBindings;
    return bindings !== undefined && (ts.isNamespaceImport(bindings) || named(bindings.elements));
  }
  if (ts.isExportDeclaration(node) && leadsTo(node.moduleSpecifier)) {
    const clause = node.exportClause;
    return clause === undefined || ts.isNamespaceExport(clause) || named(clause.elements);
  }
  const dynamic = ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword;
  return dynamic && leadsTo(node.arguments[0]);
}

describe('seeded randomness', () => {
  const seeders = (files: Sources) => importersOf(files, 'seededRandom', 'crypto/random.ts');
  const expanders = (files: Sources) => importersOf(files, 'XofStream', 'crypto/ring/sampling.ts');

  it('is imported by splits and batches only, never where noise or keys are made', () => {
    expect(seeders(sources)).toEqual([...MAY_SEED].sort());
    expect(expanders(sources)).toEqual([...MAY_EXPAND].sort());
  });

  it.each([
    ["import { seededRandom } from '../random.ts';", 'crypto/dp/discrete-gaussian.ts'],
    ["import { seededRandom as systemRandom } from '../random.ts';", 'crypto/he/partial.ts'],
    ["import * as random from '../../crypto/random.ts';", 'client/agent/protect.ts'],
    ["export { seededRandom } from '../crypto/random.ts';", 'keyholder/context.ts'],
    ["export * from './random.ts';", 'crypto/index.ts'],
    ["const { seededRandom } = await import('../crypto/random.ts');", 'keyholder/server.ts'],
  ])('%s in %s would be found', (line, path) => {
    expect(sources.has(path)).toBe(true);
    expect(seeders(withLine(path, line))).toEqual([...MAY_SEED, path].sort());
  });

  it('is not the default anywhere: agent, holder and mechanisms draw from the system', () => {
    const agent = sources.get('client/agent/agent.ts')!;
    expect(agent).toMatch(/this\.#random = options\.random \?\? systemRandom;/);
    expect(sources.get('keyholder/server.ts')).toMatch(/random: systemRandom,/);
    // What `runClient` gives the agent has no `random` in it, so the default stands.
    const given = [...nodesIn(treeOf(sources.get('client/agent/join.ts')!))].filter(
      (node) => ts.isPropertyAssignment(node) && node.name.getText() === 'random',
    );
    expect(given).toEqual([]);
  });
});
