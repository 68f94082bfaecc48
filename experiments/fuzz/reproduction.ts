/**
 * Reproductions: a story that broke an invariant once, as a JSON file. Those in reproductions/ are replayed by a test.
 *
 * Trusts: nothing; files go through a schema with a cap. May be called by: experiments/fuzz, cli.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import { INVARIANTS } from './observer.ts';
import { storySchema } from './ops.ts';

const FILE_BYTES_MAX = 4 * 1024 * 1024;

const schema = z.strictObject({
  version: z.literal(1),
  /** What broke, when it did. */
  invariant: z.enum(INVARIANTS),
  message: z.string().max(2000),
  /** Where the bug was, once it is known. */
  note: z.string().max(2000).optional(),
  story: storySchema,
});
export type Reproduction = z.output<typeof schema>;

/** Throws DATA_INVALID. */
export function readReproduction(file: string): Reproduction {
  const size = statSync(file, { throwIfNoEntry: false })?.size;
  ensure(size !== undefined, 'NOT_FOUND', `${file} does not exist`);
  ensure(size <= FILE_BYTES_MAX, 'DATA_INVALID', `${file} is longer than a reproduction can be`);
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new PulsefoldError('DATA_INVALID', `${file} is not JSON`, { cause });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new PulsefoldError(
    'DATA_INVALID',
    `${file}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`,
  );
}

/** One op per line, so that a person can read and cut it. */
export function writeReproduction(file: string, reproduction: Reproduction): void {
  const { story, ...head } = reproduction;
  const ops = story.ops.map((op) => `    ${JSON.stringify(op)}`).join(',\n');
  const text = `${JSON.stringify(head, null, 2).slice(0, -2)},
  "story": {
    "seed": ${JSON.stringify(story.seed)},
    "scenario": ${JSON.stringify(story.scenario)},
    "ops": [
${ops}
    ]
  }
}
`;
  writeFileSync(file, text);
}
