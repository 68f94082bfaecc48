/**
 * `pulsefold keyholder`: one of the independent holders of the committee keys.
 *
 * For: program.ts. Trusts: the operator's config.
 */
import type { Command } from 'commander';
import { type CommonOptions, leaf } from '../command.ts';
import { runRole } from '../role.ts';

export function command(): Command {
  return leaf('keyholder', {
    description: 'Serve ceremonies, acceptance, cohort certificates and partial decryptions, until stopped.',
    examples: ['keyholder --config holder-1.yaml'],
  })
    .requiredOption('-c, --config <file>', 'key holder config (YAML)')
    .action(async (options: CommonOptions & { readonly config: string }) => {
      const { runKeyHolder } = await import('../../keyholder/server.ts');
      await runRole({ role: 'keyholder', options, start: () => runKeyHolder(options.config) });
    });
}
