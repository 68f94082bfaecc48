// Goal: what the roles sign is what docs/protocol.md says, by the whole-upload vector of crypto/vectors/long.json, whose
// statements were put together without this directory.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex, utf8 } from '../crypto/bytes.ts';
import { getSuite } from '../crypto/identity/suite.ts';
import { committeeKeyIdOf } from './keyholder-messages.ts';
import { parseRoundConfig } from './round-config.ts';
import { entryLeaf, uploadDigestOfParts, uploadStatement } from './statements.ts';

interface UploadVector {
  readonly name: string;
  readonly planHash: string;
  readonly modelHash: string;
  readonly committeeKey: string;
  readonly committeeKeyId: string;
  readonly round: number;
  readonly config: string;
  readonly configHash: string;
  readonly devices: readonly Record<string, string>[];
}

const file = new URL('../crypto/vectors/long.json', import.meta.url);
const vectors: UploadVector[] = JSON.parse(readFileSync(file, 'utf8')).uploads;
const suite = getSuite('intl');

describe.each(vectors.map((vector) => ({ name: vector.name, vector })))('$name', ({ vector }) => {
  it('configuration and key id', () => {
    const { config, hashHex } = parseRoundConfig(utf8(vector.config), suite);
    expect(hashHex).toBe(vector.configHash);
    expect(config).toMatchObject({
      planHash: vector.planHash,
      modelHash: vector.modelHash,
      round: vector.round,
    });
    expect(config.committeeKeyId).toBe(vector.committeeKeyId);
    expect(toHex(committeeKeyIdOf(suite, fromHex(vector.committeeKey)))).toBe(vector.committeeKeyId);
  });

  it('digest, upload statement and leaf of every device', () => {
    expect(vector.devices.length).toBeGreaterThan(0);
    for (const device of vector.devices) {
      const parts = [fromHex(device.bodyDigest!), fromHex(device.holderPartDigest!)] as const;
      const digest = uploadDigestOfParts(suite, ...parts);
      expect(toHex(digest)).toBe(device.digest);
      const statement = {
        planHash: fromHex(vector.planHash),
        round: vector.round,
        modelHash: fromHex(vector.modelHash),
        configHash: fromHex(vector.configHash),
        committeeKeyId: fromHex(vector.committeeKeyId),
        deviceId: device.deviceId!,
        digest,
      };
      expect(toHex(uploadStatement(statement))).toBe(device.statement);
      expect(toHex(entryLeaf(statement))).toBe(device.leaf);
    }
  });
});
