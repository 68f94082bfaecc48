/** Public entry point of the registrar (`pulsefold/registrar`): make the CA, mint tokens, revoke, serve. */
export {
  caFingerprint,
  initialiseRegistrar,
  listCertificates,
  loadRegistrarConfig,
  mintToken,
  parseRegistrarConfig,
  type RegistrarConfig,
  type RunningRegistrar,
  revoke,
  type StartRegistrarOptions,
  startRegistrar,
} from './registrar.ts';
