/**
 * `pulsefold enrol`: a token becomes an identity file. Clients enrol by themselves, in `client join`.
 *
 * For: program.ts. Trusts: the CA file, obtained out of band. Refuses to overwrite a file before it uses the token:
 * an identity that is gone cannot be had again.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { ensure } from '../../crypto/error.ts';
import type { EnrolledRole } from '../../crypto/identity/identity.ts';
import type { SuiteName } from '../../crypto/identity/suite.ts';
import {
  type CommonOptions,
  leaf,
  type PassphraseOptions,
  parseAddress,
  passphraseOf,
  suiteOption,
  withPassphrase,
} from '../command.ts';
import { naming } from '../failure.ts';
import { printIdentity } from './identity.ts';

interface EnrolOptions extends CommonOptions, PassphraseOptions {
  readonly role: EnrolledRole;
  readonly registrar: string;
  readonly ca: string;
  readonly tokenFile: string;
  readonly out: string;
  readonly suite: SuiteName;
}

export function command(): Command {
  const enrolment = leaf('enrol', {
    description:
      'Make keys, exchange a one-time token for a certificate, seal both into a file, print the public side.',
    examples: [
      'enrol --role keyholder --registrar localhost:7440 --ca ca.pem --token-file token --out holder-1.identity',
      'enrol --role researcher --registrar localhost:7440 --ca ca.pem --token-file token --out me.identity --suite gm',
    ],
  })
    .addOption(
      new Option('--role <role>', 'the role of the token')
        .choices(['coordinator', 'keyholder', 'researcher', 'auditor'])
        .makeOptionMandatory(),
    )
    .requiredOption('--registrar <host:port>', "the registrar's enrolment address", parseAddress)
    .requiredOption(
      '--ca <file>',
      "the registrar's CA certificate (PEM), obtained from the registrar's operator",
    )
    .requiredOption('--token-file <file>', 'file with the token that the operator handed over')
    .requiredOption('--out <file>', 'identity file to write')
    .addOption(suiteOption());
  return withPassphrase(enrolment).action(async (options: EnrolOptions) => {
    const { role, suite, out } = options;
    ensure(
      !existsSync(out),
      'CONFIG_INVALID',
      `${out} (--out) exists already: choose another name or move it away`,
    );
    const caPem = await naming(`${options.ca} (--ca)`, () => readFile(options.ca, 'utf8'));
    const token = await naming(`${options.tokenFile} (--token-file)`, () =>
      readFile(options.tokenFile, 'utf8'),
    );
    const passphrase = await passphraseOf(options);
    ensure(passphrase.length >= 8, 'CONFIG_INVALID', 'a passphrase has at least 8 characters');
    const { enrol } = await import('../../protos/transport/enrol.ts');
    const { saveIdentity } = await import('../../protos/transport/identity-store.ts');
    const bundle = await enrol({ enrolAddress: options.registrar, caPem, token, role, suite });
    await naming(`${out} (--out)`, () => saveIdentity(out, bundle, { passphrase }));
    printIdentity(bundle, options.json === true);
  });
}
