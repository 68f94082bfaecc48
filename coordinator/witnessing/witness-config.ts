/**
 * `witnesses` of the coordinator's configuration: name, address and pinned key lines of each.
 *
 * Trusts: the operator's file. May be called by: coordinator/config.ts, server.ts.
 */
import { z } from 'zod';
import { isCosignatureAlgorithm } from '../../crypto/log/cosignature.ts';
import { noteVerifierOf } from '../../crypto/log/note-keys.ts';
import type { WitnessPeer } from './witness-client.ts';

const keyLine = z
  .string()
  .max(4096)
  .superRefine((line, context) => {
    const issue = (message: string) => context.addIssue({ code: 'custom', message });
    try {
      const { algorithm } = noteVerifierOf(line);
      if (!isCosignatureAlgorithm(algorithm)) issue('is a log key: expected the key line of a witness');
    } catch (error) {
      issue((error as Error).message);
    }
  });

const witness = z
  .strictObject({
    /** The name in its key lines. */
    name: z.string().min(1).max(255),
    url: z.url({ protocol: /^https?$/ }).max(2048),
    /** What "pulsefold witness keygen" printed; several where it signs with several algorithms. */
    key: z.union([keyLine.transform((line) => [line]), z.array(keyLine).min(1).max(4)]),
  })
  .superRefine(({ name, key }, context) => {
    if (key.some((line) => !line.startsWith(`${name}+`)))
      context.addIssue({ code: 'custom', path: ['key'], message: `is not a key of the name ${name}` });
  });

export const witnessesSchema = z
  .array(witness)
  .max(16)
  .superRefine((witnesses, context) => {
    const names = witnesses.map(({ name }) => name);
    const twice = names.find((name, i) => names.indexOf(name) < i);
    if (twice) context.addIssue({ code: 'custom', message: `${twice} is listed twice` });
    const keys = witnesses.flatMap(({ key }) => key).map((line) => line.slice(line.lastIndexOf('+')));
    if (new Set(keys).size < keys.length)
      context.addIssue({ code: 'custom', message: 'a key is listed twice' });
  });

export const witnessPeers = (witnesses: z.output<typeof witnessesSchema>): WitnessPeer[] =>
  witnesses.map(({ name, url, key }) => ({ name, url, verifiers: key.map(noteVerifierOf) }));
