/** The checks of `npm run check` must be able to fail: each gets what it exists to refuse. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { checkDependencies, MODULES_MIN, ruleNames } from './check-dependencies.ts';
import { checkRandom, randomUses } from './check-random.ts';
import { differences } from './protos.ts';
import { summarise } from './test-summary.ts';

const packages = ['zod', '@noble/hashes', '@tensorflow/tfjs-core', 'fast-check', 'pino'];
const made: string[] = [];

/** A source tree with these files, and stand-ins for some packages. */
function plant(files: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(tmpdir(), 'pulsefold-plant-'));
  made.push(directory);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  for (const name of packages) {
    mkdirSync(join(directory, 'node_modules', name), { recursive: true });
    writeFileSync(
      join(directory, 'node_modules', name, 'package.json'),
      JSON.stringify({ name, main: 'index.js', license: 'MIT' }),
    );
    writeFileSync(join(directory, 'node_modules', name, 'index.js'), 'exports.value = 1;\n');
  }
  writeFileSync(
    join(directory, 'package.json'),
    JSON.stringify({
      dependencies: { zod: '*', '@noble/hashes': '*', '@tensorflow/tfjs-core': '*' },
      devDependencies: { 'fast-check': '*' },
    }),
  );
  return directory;
}

afterEach(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true, force: true });
});

const leafFile = 'export const value = 1;\n';
const importing = (specifier: string): string =>
  `import * as other from '${specifier}';\nexport { other };\n`;

/** name of the rule → files that break it. */
const violations: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'client-imports-no-other-role': {
    'client/a.ts': importing('../coordinator/b.ts'),
    'coordinator/b.ts': leafFile,
  },
  'coordinator-imports-no-other-role': {
    'coordinator/a.ts': importing('../keyholder/b.ts'),
    'keyholder/b.ts': leafFile,
  },
  'keyholder-imports-no-other-role': {
    'keyholder/a.test.ts': importing('../client/b.ts'),
    'client/b.ts': leafFile,
  },
  'registrar-imports-no-other-role': { 'registrar/a.ts': importing('../cli/b.ts'), 'cli/b.ts': leafFile },
  'auditor-imports-no-other-role': {
    'auditor/a.ts': importing('../experiments/b.ts'),
    'experiments/b.ts': leafFile,
  },
  'protos-imports-crypto-only': { 'protos/a.ts': importing('../client/b.ts'), 'client/b.ts': leafFile },
  'crypto-imports-nothing-of-ours': {
    'crypto/a.ts': "import type { B } from '../protos/b.ts';\nexport type A = B;\n",
    'protos/b.ts': 'export type B = 1;\n',
  },
  'crypto-does-no-io': { 'crypto/a.ts': importing('node:fs') },
  'crypto-packages-are-reviewed': { 'crypto/a.ts': importing('zod') },
  'tensorflow-behind-its-port': { 'client/training/engine.ts': importing('@tensorflow/tfjs-core') },
  'no-cycles': { 'client/a.ts': importing('./b.ts'), 'client/b.ts': importing('./a.ts') },
  'no-test-code-in-products': {
    'keyholder/a.ts': importing('./testing.ts'),
    'keyholder/testing.ts': leafFile,
  },
  'no-development-packages-in-products': { 'client/a.ts': importing('fast-check') },
  'packages-are-declared': { 'client/a.ts': importing('pino') },
  'everything-resolves': { 'client/a.ts': importing('./missing.ts') },
};

describe('dependency rule', () => {
  it.each(Object.entries(violations))('%s is caught', async (rule, files) => {
    const report = await checkDependencies(plant(files), topDirectories(files));
    expect(report.violations.map((violation) => violation.rule)).toContain(rule);
  });

  it('accepts what is allowed', async () => {
    const files = {
      'cli/a.ts': importing('../client/b.ts'),
      'client/b.ts': `${importing('../protos/c.ts')}import 'node:fs';\nimport type { T } from './t.ts';\nexport type U = T;\n`,
      'client/t.ts': "import type { U } from './b.ts';\nexport type T = U | 1;\n",
      'client/b.test.ts': importing('fast-check'),
      'protos/c.ts': importing('../crypto/d.ts'),
      'crypto/d.ts': `${importing('node:crypto')}import '@noble/hashes';\n`,
      'client/training/tfjs-engine.ts': importing('@tensorflow/tfjs-core'),
      'crypto/d.test.ts': importing('node:fs'),
    };
    const report = await checkDependencies(plant(files), topDirectories(files));
    expect(report).toEqual({ modules: 8, violations: [] });
  });

  it('has a rule for every planted violation and a violation for every rule', () => {
    expect(ruleNames().sort()).toEqual(Object.keys(violations).sort());
  });

  it('sees nothing where there is nothing, which the check takes for a failure', async () => {
    const empty = plant({ 'client/.keep': '' });
    expect((await checkDependencies(empty, ['client'])).modules).toBeLessThan(MODULES_MIN);
  });
});

const topDirectories = (files: object): string[] => [
  ...new Set(Object.keys(files).map((path) => path.split('/')[0]!)),
];

describe('Math.random', () => {
  it.each([
    'const x = Math.random();',
    'const x = Math\n  .random();',
    "const x = Math['random']();",
    'const key = "random";\nMath[key]();',
    'const { random } = Math;',
    'const m = Math;',
    'globalThis.Math.random();',
    '(Math as any).random();',
    'pick(Math.random);',
  ])('is found in %j', (text) => {
    expect(randomUses(text)).toHaveLength(1);
  });

  it.each(['// Math.random', 'const s = "Math.random()";', 'Math.floor(1.5);', 'this.random();'])(
    'is not seen in %j',
    (text) => {
      expect(randomUses(text)).toEqual([]);
    },
  );

  it('is allowed in experiments/simulation only', () => {
    const text = 'export const x = Math.random();\n';
    const tree = plant({
      'experiments/simulation/a.ts': text,
      'experiments/b.ts': text,
      'cli/c.test.ts': text,
    });
    expect(checkRandom(tree)).toEqual({ files: 3, uses: ['cli/c.test.ts:1', 'experiments/b.ts:1'] });
  });
});

describe('generated types', () => {
  it('differ when a file is missing, changed or too many', () => {
    const tree = plant({
      'a/x.ts': '1',
      'a/y/z.ts': '2',
      'a/same.ts': '4',
      'b/x.ts': '9',
      'b/old.ts': '3',
      'b/same.ts': '4',
    });
    expect(differences(join(tree, 'a'), join(tree, 'b'))).toEqual(['old.ts', 'x.ts', 'y/z.ts']);
    expect(differences(join(tree, 'a'), join(tree, 'a'))).toEqual([]);
  });
});

describe('test summary', () => {
  const file = (status: string, ...tests: string[]) => ({
    status,
    assertionResults: tests.map((name) => ({ status: name })),
  });
  const report = (success: boolean, ...testResults: object[]) => JSON.stringify({ success, testResults });

  it('counts tests', () => {
    const text = report(
      false,
      file('passed', 'passed', 'passed', 'skipped'),
      file('failed', 'failed', 'passed'),
    );
    expect(summarise(text)).toEqual({ passed: 3, failed: 1, skipped: 1, ok: false });
  });
  it('counts a file that does not load', () => {
    expect(summarise(report(false, file('failed'), file('passed', 'passed')))).toMatchObject({
      passed: 1,
      failed: 1,
    });
  });
  it('is not content with no tests', () => {
    expect(summarise(report(true)).ok).toBe(false);
    expect(summarise(report(true, file('passed', 'passed'))).ok).toBe(true);
  });
  it('refuses other files', () => {
    expect(() => summarise('{}')).toThrow();
  });
});
