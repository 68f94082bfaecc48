import { describe, expect, it } from 'vitest';
import { entries } from '../../cli/program.ts';
import {
  importsOf,
  isProduct,
  reachableFrom,
  type Sources,
  sources,
  withLine,
} from '../e2e/testing-sources.ts';

/** What takes devices at their word, or makes noise that repeats: for simulations only (DESIGN §2, last paragraph). */
const SHORT_CUTS = ['coordinator/rounds/signed-uploads.ts', 'coordinator/rounds/upload-batch.ts'];
/** Names of such things in files that products need for other things, and the products that may say them. */
const NAMES: readonly (readonly [RegExp, readonly string[]])[] = [
  [/\bSeededStreams\b/, ['crypto/random.ts']],
  [/\bRoundProtector\b/, ['client/agent/protect.ts']],
  [/\binviteDevices\b/, ['coordinator/rounds/check-in.ts']],
  [/\backnowledgeUploads\b|\btakeSignedUploads\b/, SHORT_CUTS],
  [/\bnoteUploads\b/, ['coordinator/rounds/active-round.ts', ...SHORT_CUTS]],
  [/\binsertPlainUploads\b/, ['coordinator/rounds/uploads-repository.ts', ...SHORT_CUTS]],
  [/\bPlainSums\b|\bsimulationParties\b|\bseededRegistrar\b/, []],
  [/\bsharedVerification\b|\bownSignatures\b|\bunsealedRules\b/, []],
];
/** Commands whose parties are all simulated. */
const SIMULATIONS = ['simulate', 'run', 'compare', 'bench', 'demo', 'data', 'audit', 'fuzz-rounds'];

function findings(files: Sources): string[] {
  const found: string[] = [];
  for (const [path, text] of files) {
    if (!isProduct(path)) continue;
    for (const target of importsOf(path, text))
      if (SHORT_CUTS.includes(target)) found.push(`${path} → ${target}`);
    // Of code, not of comments.
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
    for (const [name, allowed] of NAMES)
      if (name.test(code) && !allowed.includes(path)) found.push(`${path} says ${name.source}`);
  }
  const roles = entries
    .filter(({ name }) => !SIMULATIONS.includes(name))
    .map(({ name }) => `cli/commands/${name}.ts`);
  for (const reached of reachableFrom(files, roles))
    if (reached.startsWith('experiments/simulation/') || SHORT_CUTS.includes(reached))
      found.push(`a role command reaches ${reached}`);
  return found;
}

describe('what is weaker than production', () => {
  it('is reached by no role, no service and no package export', () => {
    expect(SHORT_CUTS.every((path) => sources.has(path))).toBe(true);
    expect(findings(sources)).toEqual([]);
  });

  it.each([
    ['coordinator/grpc/rounds-service.ts', "import { acknowledgeUploads } from '../rounds/upload-batch.ts';"],
    ['coordinator/index.ts', "export * from './rounds/upload-batch.ts';"],
    ['coordinator/rounds/uploads.ts', "export * from './signed-uploads.ts';"],
    ['coordinator/grpc/rounds-service.ts', 'await takeSignedUploads(services, active, uploads);'],
    ['coordinator/rounds/uploads.ts', 'active.noteUploads(uploads, () => true);'],
    ['keyholder/server.ts', 'const suite = sharedVerification(getSuite(name));'],
    ['coordinator/server.ts', 'const suite = ownSignatures(getSuite(name), keys);'],
    ['keyholder/index.ts', 'export const rules = unsealedRules;'],
    ['client/agent/round.ts', 'const streams = new SeededStreams(seed, 100);'],
    ['client/agent/agent.ts', 'const protector = new RoundProtector(parsed, config);'],
    ['cli/commands/client.ts', "import { simulate } from '../../experiments/simulation/index.ts';"],
    ['coordinator/server.ts', 'await inviteDevices(services, active, candidates);'],
    ['crypto/index.ts', 'export const secagg = new PlainSums();'],
  ])('%s: %s would be found', (path, line) => {
    expect(sources.has(path)).toBe(true);
    expect(findings(withLine(path, line))).not.toEqual([]);
  });
});
