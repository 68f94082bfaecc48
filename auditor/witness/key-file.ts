/**
 * The witness's keys, one per algorithm, sealed by a passphrase.
 *
 * Trusts: the passphrase; the content is parsed strictly all the same. May be called by: server.ts, cli/.
 */
import { z } from 'zod';
import { fromHex, fromUtf8, toHex, utf8 } from '../../crypto/bytes.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import { openSealedFile, type ScryptParameters, sealFile } from '../../crypto/identity/sealed-file.ts';
import {
  type CosignatureAlgorithm,
  cosignatureAlgorithms,
  encodeVerifierKey,
  signCheckpoint,
  verifyNote,
} from '../../crypto/log/checkpoint.ts';
import {
  type CosignerKey,
  cosignerAt,
  generateCosignerKey,
  noteVerifier,
} from '../../crypto/log/note-keys.ts';
import { writeFileAtomic } from '../../protos/transport/atomic-file.ts';
import { readSealed } from '../../protos/transport/identity-store.ts';

const LABEL = 'witness-key';

const schema = z.strictObject({
  version: z.literal(1),
  name: z.string().min(1).max(255),
  keys: z
    .array(
      z.strictObject({
        algorithm: z.enum(cosignatureAlgorithms),
        publicKey: z.string().regex(/^([0-9a-f]{2}){32,1312}$/),
        secretKey: z.string().regex(/^[0-9a-f]{64}$/),
      }),
    )
    .min(1)
    .max(cosignatureAlgorithms.length),
});

/** Makes one key per algorithm and seals them into `path`, which must not exist (the caller checks). */
export async function createWitnessKeys(
  path: string,
  { name, algorithms }: { readonly name: string; readonly algorithms: readonly CosignatureAlgorithm[] },
  passphrase: string,
  parameters?: ScryptParameters,
): Promise<CosignerKey[]> {
  const keys = [...new Set(algorithms)].map((algorithm) => generateCosignerKey(name, algorithm));
  // A bad name is found out before anything is written.
  for (const key of keys) encodeVerifierKey(key);
  const content = {
    version: 1,
    name,
    keys: keys.map(({ algorithm, publicKey, secretKey }) => ({
      algorithm,
      publicKey: toHex(publicKey),
      secretKey: toHex(secretKey),
    })),
  };
  const plaintext = utf8(JSON.stringify(content));
  await writeFileAtomic(
    path,
    sealFile('intl', plaintext, { passphrase }, LABEL, parameters ? { parameters } : {}),
  );
  plaintext.fill(0);
  return keys;
}

/** Throws NOT_FOUND, FILE_SEALED (wrong passphrase, another kind of file), MALFORMED_MESSAGE, BAD_SIGNATURE. */
export async function loadWitnessKeys(path: string, passphrase: string): Promise<CosignerKey[]> {
  const plaintext = openSealedFile(await readSealed(path), { passphrase }, LABEL);
  const { name, keys } = parseContent(plaintext);
  plaintext.fill(0);
  const loaded = keys.map(({ algorithm, publicKey, secretKey }) => ({
    name,
    algorithm,
    publicKey: fromHex(publicKey),
    secretKey: fromHex(secretKey),
  }));
  // Halves that do not belong together are found out here and not by the first log.
  const probe = { origin: 'pulsefold.example/key-check', size: 0, root: new Uint8Array(32) };
  for (const key of loaded) verifyNote(signCheckpoint(probe, [cosignerAt(key, 1)]), [noteVerifier(key)]);
  return loaded;
}

function parseContent(plaintext: Uint8Array): z.output<typeof schema> {
  try {
    return schema.parse(JSON.parse(fromUtf8(plaintext)));
  } catch {
    // The parser's own error quotes its input, which holds the secret keys.
    throw new PulsefoldError(
      'MALFORMED_MESSAGE',
      'not a witness key file: make one with "pulsefold witness keygen"',
    );
  }
}
