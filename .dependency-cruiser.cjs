/**
 * The dependency rule of DESIGN §3, as a check:
 *   cli, experiments → coordinator, client, registrar, keyholder, auditor → protos → crypto
 *
 * Run by cli/checks/check-dependencies.ts, which also fails when suspiciously few modules were seen, and tested there
 * with planted violations. Trusts: nothing.
 */
const ROLES = ['client', 'coordinator', 'registrar', 'keyholder', 'auditor'];
const TEST = '(\\.test\\.ts|\\.contract\\.ts|(^|/)testing[^/]*\\.ts)$';
const NPM = ['npm', 'npm-dev', 'npm-optional', 'npm-peer', 'npm-bundled', 'npm-no-pkg', 'npm-unknown'];

const rule = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });

const roleRules = ROLES.map((role) =>
  rule(
    `${role}-imports-no-other-role`,
    `${role}/ may import itself, protos/ and crypto/. Roles meet on the wire only; tests of several roles: experiments/`,
    { path: `^${role}/` },
    {
      path: '^(client|coordinator|registrar|keyholder|auditor|experiments|cli)/',
      pathNot: `^${role}/`,
    },
  ),
);

module.exports = {
  forbidden: [
    ...roleRules,
    rule(
      'protos-imports-crypto-only',
      'protos/ lies under every role: it may import crypto/ and nothing above itself.',
      { path: '^protos/' },
      { path: '^(client|coordinator|registrar|keyholder|auditor|experiments|cli)/' },
    ),
    rule(
      'crypto-imports-nothing-of-ours',
      'crypto/ is the bottom: pure functions, no proto types.',
      { path: '^crypto/' },
      { path: '^(protos|client|coordinator|registrar|keyholder|auditor|experiments|cli)/' },
    ),
    rule(
      'crypto-does-no-io',
      'crypto/ is pure: no files, network, processes, clock. Move the I/O to the caller.',
      { path: '^crypto/', pathNot: TEST },
      { dependencyTypes: ['core'], pathNot: '^(node:)?(crypto|util|buffer|assert)$' },
    ),
    rule(
      'crypto-packages-are-reviewed',
      'crypto/ may use the cryptography packages listed here and no others.',
      { path: '^crypto/', pathNot: TEST },
      {
        dependencyTypes: NPM,
        pathNot:
          '^node_modules/(@noble/(ciphers|curves|hashes)|@peculiar/x509|reflect-metadata|sm-crypto|node-seal)/',
      },
    ),
    rule(
      'tensorflow-behind-its-port',
      'Only client/training/tfjs*.ts knows TensorFlow; everybody else uses the TrainEngine port.',
      { pathNot: '^(client/training/(tfjs[^/]*|[^/]*\\.test)\\.ts$|node_modules/)' },
      { path: '^(node_modules/)?@tensorflow/' },
    ),
    rule(
      'no-cycles',
      'A cycle at run time makes the order of loading matter. `import type` is erased and does not count.',
      { pathNot: '^node_modules/' },
      { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    ),
    rule(
      'no-test-code-in-products',
      'Test support can weaken or observe a role; nothing that ships may reach it.',
      { path: `^(crypto|protos|${ROLES.join('|')}|cli)/`, pathNot: TEST },
      { path: TEST, pathNot: '^node_modules/' },
    ),
    rule(
      'no-development-packages-in-products',
      'What ships may only need `dependencies`.',
      { path: `^(crypto|protos|${ROLES.join('|')}|cli|experiments)/`, pathNot: `${TEST}|^cli/checks/` },
      { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    ),
    rule(
      'packages-are-declared',
      'Every package that is imported stands in package.json.',
      {},
      { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    ),
    rule(
      'everything-resolves',
      'An import that leads nowhere fails at run time only.',
      {},
      { couldNotResolve: true },
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^protos/gen/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    detectJSDocImports: false,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.cjs', '.json', '.d.ts'],
      mainFields: ['module', 'main', 'types'],
    },
    combinedDependencies: false,
  },
};
