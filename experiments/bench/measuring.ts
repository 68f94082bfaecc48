/**
 * What benchmarks share: medians, the size of the cache to measure beyond, identities for servers and clients.
 *
 * Trusts: nothing; benchmarks only. May be called by: experiments/bench.
 */
import { readFileSync } from 'node:fs';
import {
  createCertificateAuthority,
  generateTlsKey,
  issueCertificate,
  subjectIdOf,
} from '../../crypto/identity/certificate.ts';
import { intlSuite } from '../../crypto/identity/suite-intl.ts';

export const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

const CACHE_BYTES_UNKNOWN = 64 * 1024 * 1024;

/** Bytes of the last-level cache, where Linux tells; 64 MiB elsewhere. */
export function lastLevelCacheBytes(): number {
  for (const index of [3, 2]) {
    try {
      const text = readFileSync(`/sys/devices/system/cpu/cpu0/cache/index${index}/size`, 'utf8').trim();
      return Number.parseInt(text, 10) * (text.endsWith('K') ? 1024 : 1024 * 1024);
    } catch {
      // not there: try the next level
    }
  }
  return CACHE_BYTES_UNKNOWN;
}

export interface TlsFiles {
  readonly caPem: string;
  readonly certPem: string;
  readonly keyPem: string;
}

const HOUR_MS = 3_600_000;

/** A coordinator and a client under one CA of their own, for an hour. */
export async function benchIdentities(name: string): Promise<{ server: TlsFiles; client: TlsFiles }> {
  const times = { notBeforeMs: Date.now() - HOUR_MS, notAfterMs: Date.now() + HOUR_MS };
  const authority = await createCertificateAuthority({ name, ...times });
  const leaf = async (role: 'coordinator' | 'client'): Promise<TlsFiles> => {
    const { publicKey: signingPublicKey } = intlSuite.generateSigningKey();
    const { tlsKeyPem, tlsPublicKey } = await generateTlsKey();
    const subjectId = subjectIdOf(role, 'intl', signingPublicKey);
    const claims = { role, suite: 'intl' as const, subjectId, signingPublicKey };
    const { pem } = await issueCertificate(authority, { claims, tlsPublicKey, ...times });
    return { caPem: authority.caPem, certPem: pem, keyPem: tlsKeyPem };
  };
  return { server: await leaf('coordinator'), client: await leaf('client') };
}
