/**
 * The command as a person meets it: help, wrong command lines, the form of errors. What a process of its own says is
 * compared with what the command says in this one; the rest runs here.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { RunFixture } from '../auditor/testing.ts';
import { datasetNames } from '../experiments/datasets/types.ts';
import { entries } from './program.ts';
import { type Finished, pulsefold, pulsefoldHere, runNode, temporaryDirectory } from './testing.ts';

const scratch = temporaryDirectory();
afterAll(() => scratch.dispose());

describe('help', () => {
  it('lists every command, with and without --help', async () => {
    const [plain, asked] = await Promise.all([pulsefold([]), pulsefoldHere(['--help'])]);
    expect(plain).toEqual(asked);
    expect(plain.code).toBe(0);
    expect(plain.stderr).toBe('');
    for (const { name, summary } of entries) {
      expect(plain.stdout).toContain(name);
      expect(plain.stdout).toContain(summary);
    }
    expect(plain.stdout).toMatch(/Example:\n {2}\$ pulsefold demo/);
  });

  it('of every command that does something has an example, --json and --debug', async () => {
    const visit = (command: import('commander').Command): void => {
      let help = '';
      command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
      expect(help, command.name()).toMatch(/Examples?:\n {2}\$ pulsefold /);
      if (command.commands.length === 0) expect(help, command.name()).toMatch(/--json[\s\S]*--debug/);
      for (const child of command.commands) visit(child);
    };
    for (const { load } of entries) visit((await load()).command());
  });

  it('does not load what it does not need', async () => {
    const probe = `
      const { registerHooks } = await import('node:module');
      const seen = [];
      registerHooks({ load(url, context, next) { seen.push(url); return next(url, context); } });
      const { main } = await import(${JSON.stringify(new URL('./pulsefold.ts', import.meta.url).href)});
      await main(['node', 'pulsefold', 'coordinator', '--help']);
      process.stderr.write(seen.join('\\n'));`;
    const { stdout, stderr } = await runNode(['--input-type=module', '-e', probe]);
    expect(stdout).toContain('--config <file>');
    expect(stderr).toContain('cli/commands/coordinator.ts');
    expect(stderr).not.toMatch(/coordinator\/server\.ts|tensorflow|grpc|node-seal|commands\/demo/);
  });
});

const usage: readonly (readonly [string, RegExp])[] = [
  ['bogus', /^error USAGE: unknown command 'bogus'/],
  ['demo --datset x', /unknown option '--datset'.*--dataset.*\(see: pulsefold demo --help\)\n$/],
  ['demo --dataset heart', /'heart' is invalid. Allowed choices are uci-heart/],
  ['demo --no-dp --epsilon 3', /^error USAGE: --epsilon and --no-dp contradict each other/],
  ['demo --epsilon 0', /Expected a decimal number above 0/],
  ['demo --stop-holders 3', /Expected a whole number from 0 to 2/],
  ['demo extra', /too many arguments/],
  ['plan chekc x', /unknown command 'chekc'.*check/],
  ['coordinator', /required option '-c, --config <file>' not specified/],
  ['registrar', /required option '-c, --config <file>'/],
  ['registrar token --config x --role king', /Allowed choices are coordinator, keyholder, client/],
  ['status --coordinator nowhere --identity x', /Expected host:port/],
  ['enrol --role client', /Allowed choices are coordinator, keyholder, researcher, auditor/],
  ['identity show x --passphrase-env A --passphrase-file b', /cannot be used with/],
];

/** [command line, code, text of the message] */
const failures: readonly (readonly [string, string, RegExp])[] = [
  ['registrar --config missing.yaml', 'CONFIG_INVALID', /missing\.yaml/],
  ['client join --config missing.yaml', 'CONFIG_INVALID', /missing\.yaml/],
  ['coordinator --config bad.yaml', 'CONFIG_INVALID', /bad\.yaml: /],
  ['keyholder --config bad.yaml', 'CONFIG_INVALID', /bad\.yaml: /],
  ['plan check missing.yaml', 'NOT_FOUND', /missing\.yaml/],
  ['plan check bad.yaml', 'PLAN_INVALID', /bad\.yaml: plan\./],
  ['audit verify missing', 'NOT_FOUND', /missing: no such directory/],
  ['data get nothing', 'NOT_FOUND', /unknown data set "nothing"; known: uci-heart/],
  ['data list --data missing', 'NOT_FOUND', /--data: .*missing is not a directory/],
  ['identity show bad.yaml --passphrase-env UNSET_VARIABLE', 'CONFIG_INVALID', /UNSET_VARIABLE/],
  [
    'enrol --role auditor --registrar localhost:1 --ca bad.yaml --token-file t --out bad.yaml',
    'CONFIG_INVALID',
    /--out/,
  ],
  [
    'enrol --role auditor --registrar localhost:1 --ca no.pem --token-file t --out o',
    'NOT_FOUND',
    /no\.pem \(--ca\): no such file/,
  ],
  ['approver keygen --out no/where.key', 'NOT_FOUND', /no\/where\.key \(--out\): no such file or directory/],
];

describe('mistakes', () => {
  writeFileSync(join(scratch.path, 'bad.yaml'), 'role: pirate\n');

  it.each(usage)('%s: ends with code 2 and one line', async (line, message) => {
    const { code, stdout, stderr } = await pulsefoldHere(line.split(' '), { cwd: scratch.path });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^error USAGE: [^\n]* \(see: pulsefold[a-z ]* --help\)\n$/);
  });

  it.each(failures)(
    '%s: ends with code 1 and one coded line without a stack',
    async (line, wanted, message) => {
      const { code, stdout, stderr } = await pulsefoldHere(line.split(' '), { cwd: scratch.path });
      expect({ code, stdout: stdout.replace(/^downloading.*\n/, '') }).toEqual({ code: 1, stdout: '' });
      const last = stderr.trimEnd().split('\n').at(-1);
      expect(last).toMatch(new RegExp(`^error ${wanted}: `));
      expect(last).toMatch(message);
      expect(stderr).not.toMatch(/^\s+at /m);
    },
  );

  it.each(['bogus', 'coordinator', 'keyholder --config bad.yaml', 'audit verify missing'])(
    '%s: the same from a process of its own',
    async (line) => {
      const options = { cwd: scratch.path };
      const finished = await pulsefold(line.split(' '), options);
      expect(finished.code).toBeGreaterThan(0);
      expect(finished).toEqual(await pulsefoldHere(line.split(' '), options));
    },
  );

  it('show their stack under --debug only', async () => {
    const { code, stderr } = await pulsefold(['plan', 'check', 'missing.yaml', '--debug'], {
      cwd: scratch.path,
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error NOT_FOUND: .*\n(PulsefoldError|Error).*\n\s+at [\s\S]*caused by/);
  });
});

describe('what only computes', () => {
  it('params prints figures that hold', async () => {
    const { code, stdout } = await pulsefoldHere(['params', '--json']);
    expect(code).toBe(0);
    const [long, bfv] = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, number>);
    expect(long!.logModulus).toBeLessThanOrEqual(long!.logModulusLimit!);
    expect(long!.noiseMarginSigmas).toBeGreaterThanOrEqual(11);
    expect(long!.ratioToFloat32).toBeLessThanOrEqual(0.55);
    const figures = bfv as unknown as Record<string, number> & { bytes: { upload4096: number } };
    expect(figures.modulusBits).toBeLessThan(107);
    expect(figures.smudgingBits).toBeGreaterThanOrEqual(40);
    expect(figures.openingNoiseBits).toBeLessThan(figures.openingLimitBits!);
    expect(figures.bytes.upload4096).toBe(81_920);
  });

  it('data list names every set, one JSON object a line', async () => {
    const { stdout } = await pulsefoldHere(['data', 'list', '--json'], { cwd: scratch.path });
    const names = stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { name: string }).name);
    expect(names).toEqual([...datasetNames]);
  });

  it('audit verify says yes, and no to an altered run', async () => {
    const run = join(scratch.path, 'run');
    mkdirSync(run);
    new RunFixture().write(run);
    const good = await pulsefoldHere(['audit', 'verify', run]);
    expect(good).toMatchObject({ code: 0, stderr: '' });
    expect(good.stdout).toMatch(/^OK: /);
    const fixture = new RunFixture();
    const forged = join(scratch.path, 'forged');
    mkdirSync(forged);
    fixture.write(forged);
    writeFileSync(join(forged, 'log', 'leaves.ndjson'), '');
    const bad = await pulsefoldHere(['audit', 'verify', forged, '--json']);
    expect(bad.code).toBe(1);
    expect(JSON.parse(bad.stdout)).toMatchObject({ ok: false });
  });
});

/** A Node before 24 on this machine's PATH, if there is one. */
function olderNode(): string | undefined {
  const candidates = (process.env.PATH ?? '').split(delimiter).map((directory) => join(directory, 'node'));
  return candidates.find((file) => {
    if (!existsSync(file)) return false;
    const version = execFileSync(file, ['--version'], { encoding: 'utf8' });
    return Number.parseInt(version.slice(1), 10) < 24;
  });
}

describe('launch.js', () => {
  const launch = join(import.meta.dirname, 'launch.js');
  const old = olderNode();
  const same = (a: Finished, b: Finished) => expect(a).toEqual(b);

  it('is the command under Node 24', async () => {
    same(await runNode([launch, 'bogus']), await pulsefold(['bogus']));
  });

  it.skipIf(old === undefined)('finds Node 24 when an older one starts it', async () => {
    same(await runNode([launch, 'bogus'], { node: old! }), await pulsefold(['bogus']));
    same(await runNode([launch, '--version'], { node: old! }), await pulsefold(['--version']));
  });
});
