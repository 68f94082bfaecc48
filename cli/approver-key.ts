/**
 * The key file of a plan approver: a signing key, sealed by a passphrase.
 *
 * For: the `approver` and `plan` commands. Trusts: the passphrase; the file's content is parsed strictly all the same.
 */
import { z } from 'zod';
import { fromHex, fromUtf8, toHex, utf8 } from '../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../crypto/error.ts';
import { openSealedFile, sealFile } from '../crypto/identity/sealed-file.ts';
import { getSuite, type SigningKeyPair, type SuiteName } from '../crypto/identity/suite.ts';
import { writeFileAtomic } from '../protos/transport/atomic-file.ts';
import { readSealed } from '../protos/transport/identity-store.ts';

const LABEL = 'approver-key';

const schema = z.strictObject({
  version: z.literal(1),
  suite: z.enum(['intl', 'gm']),
  publicKey: z.string().regex(/^([0-9a-f]{64}|04[0-9a-f]{128})$/),
  secretKey: z.string().regex(/^[0-9a-f]{64}$/),
});

export interface ApproverKey {
  readonly suite: SuiteName;
  readonly key: SigningKeyPair;
}

/** Makes a key and seals it into `path`, which must not exist (the caller checks). */
export async function createApproverKey(
  path: string,
  suiteName: SuiteName,
  passphrase: string,
): Promise<ApproverKey> {
  const key = getSuite(suiteName).generateSigningKey();
  const content = {
    version: 1,
    suite: suiteName,
    publicKey: toHex(key.publicKey),
    secretKey: toHex(key.secretKey),
  };
  const plaintext = utf8(JSON.stringify(content));
  await writeFileAtomic(path, sealFile(suiteName, plaintext, { passphrase }, LABEL));
  plaintext.fill(0);
  return { suite: suiteName, key };
}

/** Throws NOT_FOUND, FILE_SEALED (wrong passphrase, another kind of file), MALFORMED_MESSAGE. */
export async function loadApproverKey(path: string, passphrase: string): Promise<ApproverKey> {
  const plaintext = openSealedFile(await readSealed(path), { passphrase }, LABEL);
  const { suite, publicKey, secretKey } = parseContent(plaintext);
  plaintext.fill(0);
  const key = { publicKey: fromHex(publicKey), secretKey: fromHex(secretKey) };
  // A signature that nobody can verify is found out here and not when the plan is refused.
  const probe = utf8('pulsefold/v1/approver-key-check');
  const { sign, verify } = getSuite(suite);
  ensure(
    verify(key.publicKey, probe, sign(key.secretKey, probe)),
    'BAD_SIGNATURE',
    `${path}: its two halves do not match`,
  );
  return { suite, key };
}

function parseContent(plaintext: Uint8Array): z.output<typeof schema> {
  try {
    return schema.parse(JSON.parse(fromUtf8(plaintext)));
  } catch {
    // The parser's own error quotes its input, which holds the secret key.
    throw new PulsefoldError(
      'MALFORMED_MESSAGE',
      'not an approver key file: make one with "pulsefold approver keygen"',
    );
  }
}
