/**
 * `pulsefold witness`: an independent party that cosigns a log's checkpoints, so that nobody can be shown another log.
 *
 * For: program.ts. Trusts: the operator's config and passphrase. The printed key lines are what others pin.
 */
import { existsSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { fromHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import {
  type CosignatureAlgorithm,
  cosignatureAlgorithms,
  encodeVerifierKey,
} from '../../crypto/log/checkpoint.ts';
import {
  type CommonOptions,
  collect,
  group,
  leaf,
  type PassphraseOptions,
  passphraseOf,
  printResult,
  withPassphrase,
} from '../command.ts';
import { naming } from '../failure.ts';
import { runRole } from '../role.ts';

interface KeygenOptions extends CommonOptions, PassphraseOptions {
  readonly out: string;
  readonly name: string;
  readonly algorithm?: readonly string[];
}

const short = (algorithm: string): string => algorithm.replace('cosignature-', '');
const names = cosignatureAlgorithms.map(short);

function collectAlgorithm(text: string, previous: readonly string[] | undefined): string[] {
  if (!names.includes(text)) throw new InvalidArgumentError(`Expected one of ${names.join(', ')}.`);
  return collect(text, previous);
}

export function command(): Command {
  return group('witness', {
    description:
      'Cosign checkpoints of logs (C2SP witness protocol). Without a subcommand it serves (`run`).',
    examples: [
      'witness keygen --name witness.example/w1 --out witness.key --passphrase-file secret.txt',
      'witness --config witness.yaml',
    ],
  })
    .addCommand(run(), { isDefault: true })
    .addCommand(keygen())
    .addCommand(logKey());
}

/** A witness must know a log's key before the log has exported anything. */
function logKey(): Command {
  return leaf('log-key', {
    description:
      "Print the key line of a coordinator's log from its public signing key, for witness configs.",
    examples: ['witness log-key --origin pulsefold.example/log --public-key 1f0c…'],
  })
    .requiredOption('--origin <name>', "the coordinator's logOrigin")
    .requiredOption(
      '--public-key <hex>',
      "the coordinator's signing key (pulsefold identity prints it)",
      (text) => {
        if (!/^([0-9a-f]{64}|04[0-9a-f]{128})$/.test(text))
          throw new InvalidArgumentError('Expected a public key as hexadecimal.');
        return text;
      },
    )
    .action((options: CommonOptions & { readonly origin: string; readonly publicKey: string }) => {
      const publicKey = fromHex(options.publicKey);
      const algorithm = publicKey.length === 32 ? ('ed25519' as const) : ('sm2' as const);
      const key = encodeVerifierKey({ name: options.origin, algorithm, publicKey });
      printResult(options, { key }, [['key', key]]);
    });
}

function run(): Command {
  return leaf('run', {
    description: 'Serve POST /add-checkpoint and GET /<origin hash>/checkpoint until stopped.',
    examples: ['witness run --config witness.yaml --json'],
  })
    .requiredOption('-c, --config <file>', 'witness config (YAML)')
    .action(async (options: CommonOptions & { readonly config: string }) => {
      const { runWitness } = await import('../../auditor/witness/server.ts');
      await runRole({
        role: 'witness',
        options,
        start: () => runWitness(options.config),
        describe: ({ keyLines }) => ({ keys: keyLines }),
        sentence: ({ port, keyLines }) => `on port ${port} with the key ${keyLines.join(' and ')}`,
      });
    });
}

function keygen(): Command {
  return withPassphrase(
    leaf('keygen', {
      description: 'Make the keys of a witness, seal them into a file, print the lines that others pin.',
      examples: [
        'witness keygen --name witness.example/w1 --out witness.key',
        'witness keygen --name witness.example/w1 --algorithm ed25519 --algorithm ml-dsa-44 --out witness.key',
      ],
    })
      .requiredOption(
        '--name <name>',
        'name in signature lines: a URL without scheme, e.g. witness.example/w1',
      )
      .requiredOption('--out <file>', 'key file to write')
      .option(
        '--algorithm <name>',
        `${names.join(', ')}; repeatable, then every checkpoint gets a line of each (default: ed25519)`,
        collectAlgorithm,
      ),
  ).action(async (options: KeygenOptions) => {
    const { out, name } = options;
    ensure(
      !existsSync(out),
      'CONFIG_INVALID',
      `${out} (--out) exists already: choose another name or move it away`,
    );
    const algorithms = (options.algorithm ?? ['ed25519']).map(
      (algorithm) => `cosignature-${algorithm}` as CosignatureAlgorithm,
    );
    const { createWitnessKeys } = await import('../../auditor/witness/key-file.ts');
    const passphrase = await passphraseOf(options);
    const keys = await naming(`${out} (--out)`, () =>
      createWitnessKeys(out, { name, algorithms }, passphrase),
    );
    const lines = keys.map(encodeVerifierKey);
    printResult(options, { name, keys: lines, file: out }, [
      ['name', name],
      ...lines.map((line, i) => [short(keys[i]!.algorithm), line] as const),
      ['file', out],
    ]);
  });
}
