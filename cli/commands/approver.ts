/**
 * `pulsefold approver keygen`: the key of someone who approves plans (ethics board, regulator).
 *
 * For: program.ts. Trusts: the passphrase. The printed public key goes into everybody's `approvers`.
 */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { toHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import type { SuiteName } from '../../crypto/identity/suite.ts';
import {
  type CommonOptions,
  group,
  leaf,
  type PassphraseOptions,
  passphraseOf,
  printResult,
  suiteOption,
  withPassphrase,
} from '../command.ts';
import { naming } from '../failure.ts';

interface KeygenOptions extends CommonOptions, PassphraseOptions {
  readonly out: string;
  readonly suite: SuiteName;
}

export function command(): Command {
  const keygen = withPassphrase(
    leaf('keygen', {
      description: 'Make a signing key, seal it into a file, print its public half for configs to pin.',
      examples: ['approver keygen --out ethics-board.key --passphrase-file secret.txt'],
    })
      .requiredOption('--out <file>', 'key file to write')
      .addOption(suiteOption()),
  ).action(async (options: KeygenOptions) => {
    const { out, suite } = options;
    ensure(
      !existsSync(out),
      'CONFIG_INVALID',
      `${out} (--out) exists already: choose another name or move it away`,
    );
    const { createApproverKey } = await import('../approver-key.ts');
    const passphrase = await passphraseOf(options);
    const { key } = await naming(`${out} (--out)`, () => createApproverKey(out, suite, passphrase));
    const publicKey = toHex(key.publicKey);
    printResult(options, { suite, publicKey, file: out }, [
      ['suite', suite],
      ['publicKey', publicKey],
      ['file', out],
    ]);
  });
  return group('approver', {
    description:
      'Keys of plan approvers. Configs pin their public halves; nothing runs without their signatures.',
    examples: ['approver keygen --out ethics-board.key'],
  }).addCommand(keygen);
}
