/**
 * `pulsefold registrar`: the enrolment CA. Its own process and directory; it sees no update.
 *
 * For: program.ts. Trusts: the operator. `token`, `revoke` and `list` work on the directory, beside a running server.
 */
import { type Command, Option } from 'commander';
import { type EnrolledRole, enrolledRoles } from '../../crypto/identity/identity.ts';
import {
  type CommonOptions,
  collect,
  group,
  leaf,
  parseDuration,
  printJson,
  printResult,
} from '../command.ts';
import { runRole } from '../role.ts';
import { renderTable } from '../terminal.ts';

interface ConfigOptions extends CommonOptions {
  readonly config: string;
}

const withConfig = (command: Command): Command =>
  command.requiredOption('-c, --config <file>', 'registrar config (YAML)');

const serverOf = () => import('../../registrar/registrar.ts');

export function command(): Command {
  return group('registrar', {
    description: 'The enrolment CA. Without a subcommand it serves (`run`).',
    examples: ['registrar init --config registrar.yaml', 'registrar --config registrar.yaml'],
  })
    .addCommand(run(), { isDefault: true })
    .addCommand(init())
    .addCommand(token())
    .addCommand(revoke())
    .addCommand(list());
}

function run(): Command {
  return withConfig(
    leaf('run', {
      description: 'Serve enrolment, renewal and the revocation list until stopped.',
      examples: ['registrar run --config registrar.yaml --json'],
    }),
  ).action(async (options: ConfigOptions) => {
    const { runRegistrar } = await serverOf();
    await runRole({
      role: 'registrar',
      options,
      start: () =>
        runRegistrar(options.config, {
          onInternalError: (method, error) =>
            void process.stderr.write(
              `error INTERNAL: ${method}: ${error instanceof Error ? error.name : 'failure'}\n`,
            ),
        }),
      describe: ({ enrolPort }) => ({ enrolPort }),
      sentence: ({ port, enrolPort }) => `on port ${port}, enrolment on port ${enrolPort}`,
    });
  });
}

function init(): Command {
  return withConfig(
    leaf('init', {
      description:
        'Make a new CA in the directory that the config names. Prints the fingerprint that plans pin.',
      examples: ['registrar init --config registrar.yaml'],
    }),
  ).action(async (options: ConfigOptions) => {
    const { initialiseFromConfig, loadRegistrarConfig } = await serverOf();
    const { directory } = await loadRegistrarConfig(options.config);
    const { caFingerprint } = await initialiseFromConfig(options.config);
    const caFile = `${directory}/ca.pem`;
    printResult(options, { caFile, registrarSha256: caFingerprint }, [
      ['CA certificate', caFile],
      ['registrarSha256', caFingerprint],
    ]);
  });
}

interface TokenOptions extends ConfigOptions {
  readonly role: EnrolledRole;
  readonly expires: number;
  readonly host?: string[];
}

function token(): Command {
  return withConfig(
    leaf('token', {
      description: 'Mint a one-time enrolment token for a role and print it. Hand it over in confidence.',
      examples: [
        'registrar token --config registrar.yaml --role client',
        'registrar token --config registrar.yaml --role keyholder --host holder-1.example --expires 2h',
      ],
    }),
  )
    .addOption(
      new Option('--role <role>', 'whom the token is for').choices([...enrolledRoles]).makeOptionMandatory(),
    )
    .option(
      '--expires <duration>',
      'how long it can be used: 30m, 24h, 7d; at most 30d',
      parseDuration,
      86_400_000,
    )
    .option(
      '--host <name>',
      'name or address a server may serve under, beyond localhost; repeatable',
      collect,
    )
    .action(async (options: TokenOptions) => {
      const { loadRegistrarConfig, mintToken } = await serverOf();
      const { directory } = await loadRegistrarConfig(options.config);
      const minted = mintToken(directory, options.role, options.expires, { hosts: options.host ?? [] });
      const expiresAt = new Date(Date.now() + options.expires).toISOString();
      // People get the bare token, so that `> token` makes a token file.
      if (options.json) printJson({ token: minted, role: options.role, expiresAt });
      else process.stdout.write(`${minted}\n`);
    });
}

function revoke(): Command {
  return withConfig(
    leaf('revoke', {
      description:
        'Revoke a certificate and every other one for the same key. Running registrars publish it.',
      examples: ['registrar revoke 00112233445566778899aabbccddeeff --config registrar.yaml'],
    }),
  )
    .argument('<serial>', 'serial number, as `registrar list` prints it')
    .action(async (serial: string, options: ConfigOptions) => {
      const { loadRegistrarConfig, revoke: revokeSerial } = await serverOf();
      const { directory } = await loadRegistrarConfig(options.config);
      const revoked = revokeSerial(directory, serial);
      printResult(options, { revoked }, [
        ['revoked', revoked.length > 0 ? revoked.join(', ') : 'it was revoked before'],
      ]);
    });
}

function list(): Command {
  return withConfig(
    leaf('list', {
      description: 'List issued certificates, newest first.',
      examples: ['registrar list --config registrar.yaml --json'],
    }),
  ).action(async (options: ConfigOptions) => {
    const { listCertificates, loadRegistrarConfig } = await serverOf();
    const { directory } = await loadRegistrarConfig(options.config);
    const certificates = listCertificates(directory).map(({ notAfterMs, ...rest }) => ({
      ...rest,
      notAfter: new Date(notAfterMs).toISOString(),
    }));
    if (options.json) {
      for (const certificate of certificates) printJson(certificate);
      return;
    }
    const state = (revoked: boolean, notAfter: string): string =>
      revoked ? 'revoked' : Date.parse(notAfter) < Date.now() ? 'expired' : 'valid';
    const rows = certificates.map((c) => [
      c.role,
      c.subjectId,
      c.serial,
      c.notAfter.slice(0, 10),
      state(c.revoked, c.notAfter),
    ]);
    process.stdout.write(renderTable(['role', 'subject', 'serial', 'until', 'state'], rows));
  });
}
