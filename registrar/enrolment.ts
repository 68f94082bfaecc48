/**
 * The registrar's decisions: who gets a certificate, for what, and the current revocation list.
 *
 * For: registrar.ts. Trusts: the CA key and the store; requests are hostile. Order of Enrol: parse → token looks good →
 * possession proved → keys usable → sign → one transaction that uses up the token and records the certificate. A
 * certificate that was signed but not recorded never leaves this file.
 */
import { ensure } from '../crypto/error.ts';
import {
  certificateDer,
  type Identity,
  issueCertificate,
  type SubjectClaims,
  subjectIdOf,
} from '../crypto/identity/certificate.ts';
import { signRevocationList } from '../crypto/identity/revocation.ts';
import { getSuite } from '../crypto/identity/suite.ts';
import { parse } from '../protos/fields.ts';
import {
  forgetReceiptRecord,
  forgetReceiptStatement,
  forgetRequest,
  forgetStatement,
} from '../protos/forget.ts';
import { requireFresh } from '../protos/statement-age.ts';
import {
  checkProofs,
  type EnrolRequest,
  enrolStatement,
  parseEnrolRequest,
  parseRenewRequest,
  renewStatement,
  tokenHash,
} from '../protos/transport/enrolment-messages.ts';
import { CERTIFICATE_EARLY_MS, type OpenAuthority } from './authority.ts';
import type { IssuedCertificate } from './store.ts';

export interface EnrolmentOptions {
  readonly certificateLifetimeMs: number;
  /** How long a revocation list counts as fresh. */
  readonly revocationListLifetimeMs: number;
  readonly now: () => number;
}

export class EnrolmentDesk {
  readonly #authority: OpenAuthority;
  readonly #options: EnrolmentOptions;

  constructor(authority: OpenAuthority, options: EnrolmentOptions) {
    this.#authority = authority;
    this.#options = options;
  }

  /** Throws MALFORMED_MESSAGE, FIELD_OUT_OF_RANGE, TOKEN_INVALID, TOKEN_USED, BAD_SIGNATURE, CERTIFICATE_REVOKED. */
  async enrol(message: unknown): Promise<{ certificate: Uint8Array }> {
    const request = parseEnrolRequest(message);
    const { store, bundle } = this.#authority;
    const { role, suite, signingPublicKey, sealingPublicKey } = request;
    ensure(suite === bundle.suite, 'FIELD_OUT_OF_RANGE', `this deployment uses suite ${bundle.suite}`);
    const hash = tokenHash(request.token);
    const statement = enrolStatement(request);
    const digest = getSuite('intl').digest(statement);
    const state = store.checkToken(hash, role, digest, this.#options.now());
    checkProofs(statement, request, request);
    if ('issued' in state) return { certificate: state.issued };
    this.#checkKeys(request);
    const subjectId = subjectIdOf(role, suite, signingPublicKey);
    const claims = { role, suite, subjectId, signingPublicKey, sealingPublicKey };
    const issued = await this.#issue(claims, request.tlsPublicKey, state.token.hosts);
    return { certificate: store.redeemToken(hash, digest, issued, this.#options.now(), role) };
  }

  #checkKeys(request: EnrolRequest): void {
    const suite = getSuite(request.suite);
    const usable =
      suite.isPublicKey('signing', request.signingPublicKey) &&
      suite.isPublicKey('sealing', request.sealingPublicKey);
    ensure(usable, 'FIELD_OUT_OF_RANGE', `signing or sealing key is not a valid ${suite.name} public key`);
  }

  /** A later certificate for the caller's keys. Throws as `enrol`, without the token errors. */
  async renew(message: unknown, identity: Identity): Promise<{ certificate: Uint8Array }> {
    const request = parseRenewRequest(message);
    const { role, suite, subjectId, signingPublicKey, sealingPublicKey, serial } = identity;
    checkProofs(renewStatement(serial, request.tlsPublicKey), { ...identity, ...request }, request);
    const hosts = this.#authority.store.hostsOf(serial);
    const claims = {
      role,
      suite,
      subjectId,
      signingPublicKey,
      ...(sealingPublicKey ? { sealingPublicKey } : {}),
    };
    const issued = await this.#issue(claims, request.tlsPublicKey, hosts);
    this.#authority.store.addCertificate(issued);
    return { certificate: issued.der };
  }

  async #issue(
    claims: SubjectClaims,
    tlsPublicKey: Uint8Array,
    hosts: readonly string[],
  ): Promise<IssuedCertificate> {
    const issuedAtMs = this.#options.now();
    const notAfterMs = issuedAtMs + this.#options.certificateLifetimeMs;
    const { der, serial } = await issueCertificate(this.#authority.authority, {
      claims,
      tlsPublicKey,
      notBeforeMs: issuedAtMs - CERTIFICATE_EARLY_MS,
      notAfterMs,
      hosts,
    });
    const { role, subjectId } = claims;
    return { serial, subjectId, role, hosts, der, issuedAtMs, notAfterMs };
  }

  /**
   * Revokes the caller's enrolment and erases what that does not need. Throws MALFORMED_MESSAGE, BAD_SIGNATURE. A device
   * whose certificate is revoked already cannot call: its receipt is made once.
   */
  forget(message: unknown, identity: Identity) {
    const request = parse(forgetRequest, message);
    const { store, bundle } = this.#authority;
    const nowMs = this.#options.now();
    requireFresh(nowMs, request.timeMs, 'the request is too old; set the clock');
    const suite = getSuite(identity.suite);
    const statement = forgetStatement(identity.serial, request.timeMs);
    ensure(
      suite.verify(identity.signingPublicKey, statement, request.signature),
      'BAD_SIGNATURE',
      'the request is not signed by the key in the certificate',
    );
    ensure(identity.role === 'client', 'WRONG_ROLE', 'only a client is forgotten; an operator revokes roles');
    const serials = store.forget(identity.subjectId, nowMs);
    const receipt = forgetReceiptRecord.encode({
      version: 1,
      kind: 'forgotten',
      deviceId: identity.subjectId,
      timeMs: request.timeMs,
      forgottenMs: nowMs,
      serials: serials.slice(0, 1000),
      erased: ['certificates with the public keys in them', 'device id', 'which token the device came with'],
      kept: [
        {
          what: 'serial numbers and ends of the revoked certificates',
          why: 'the revocation list names them until they would have expired',
        },
        {
          what: 'a one-way hash of the device id',
          why: 'so that the key, should anybody still have it, cannot be enrolled again',
        },
      ],
    });
    const signature = suite.sign(bundle.signing.secretKey, forgetReceiptStatement(receipt));
    return { receipt, signature, certificate: certificateDer(bundle.certPem) };
  }

  isRevoked(serial: string): boolean {
    return this.#authority.store.isRevoked(serial);
  }

  revocationList(): { list: Uint8Array } {
    const { store, bundle } = this.#authority;
    const issuedAtMs = this.#options.now();
    const { number, serials } = store.revocations(issuedAtMs);
    const nextUpdateMs = issuedAtMs + this.#options.revocationListLifetimeMs;
    const signer = {
      suite: bundle.suite,
      secretKey: bundle.signing.secretKey,
      certificate: certificateDer(bundle.certPem),
    };
    return { list: signRevocationList({ number, issuedAtMs, nextUpdateMs, serials }, signer) };
  }
}
