/**
 * `pulsefold identity show`: the public side of identity files, as plans and configs want it.
 *
 * For: program.ts, enrol.ts. Trusts: the passphrase. Prints public keys only.
 */
import type { Command } from 'commander';
import { toHex } from '../../crypto/bytes.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import {
  type CommonOptions,
  group,
  leaf,
  type PassphraseOptions,
  passphraseOf,
  withPassphrase,
} from '../command.ts';

export function command(): Command {
  const show = withPassphrase(
    leaf('show', {
      description:
        'Print role, subject and public keys of identity files as JSON. All must have the same passphrase.',
      examples: ['identity show holder-1.identity', 'identity show holder-*.identity --json'],
    }),
  )
    .argument('<file...>', 'identity files made by enrol')
    .action(async (files: string[], options: CommonOptions & PassphraseOptions) => {
      const { loadIdentity } = await import('../../protos/transport/identity-store.ts');
      const passphrase = await passphraseOf(options);
      for (const file of files)
        printIdentity(await loadIdentity(file, { passphrase }), options.json === true);
    });
  return group('identity', {
    description: 'Look at identity files.',
    examples: ['identity show holder-1.identity'],
  }).addCommand(show);
}

/** What others may know of an identity. */
export const publicIdentity = (bundle: IdentityBundle) => ({
  role: bundle.role,
  suite: bundle.suite,
  subjectId: bundle.subjectId,
  signingPublicKey: toHex(bundle.signing.publicKey),
  sealingPublicKey: toHex(bundle.sealing.publicKey),
  serial: bundle.serial,
  notAfter: new Date(bundle.notAfterMs).toISOString(),
});

/** JSON either way: it goes into plans and configs. One line for programs, indented for people. */
export function printIdentity(bundle: IdentityBundle, json: boolean): void {
  process.stdout.write(`${JSON.stringify(publicIdentity(bundle), null, json ? 0 : 2)}\n`);
}
