/**
 * `pulsefold params`: the parameter sets of the ciphers with the margins that the code asserts.
 *
 * For: program.ts. Trusts: nothing; the figures are computed by the functions that guard the ciphers.
 */
import { type Command, Option } from 'commander';
import { type CommonOptions, integerBetween, leaf, printJson, printLine } from '../command.ts';
import { type Cell, formatBytes, renderFields } from '../terminal.ts';

const HOLDERS = 4;
const THRESHOLD = 2;
/** Deviations of the summed noise that a slot leaves room for; crypto/dp/digits.ts. */
const SLOT_DEVIATIONS = 12;

interface ParamsFlags extends CommonOptions {
  readonly parameters: number;
  readonly clients: number;
  readonly honest?: number;
  readonly slotBits: number;
  readonly transport: 'shares' | 'bfv';
}

export function command(): Command {
  return leaf('params', {
    description:
      'Print the parameters of the ciphers and their margins: of the long sum for a vector and a cohort, and of the ' +
      'threshold BFV cipher for 2 of 4 key holders.',
    examples: ['params', 'params --parameters 100000 --clients 1000 --json'],
  })
    .option('--parameters <d>', 'slots of the vector', integerBetween(1, 2 ** 20), 1_000_000)
    .option('--clients <n>', 'largest cohort', integerBetween(2, 100_000), 10_000)
    .option(
      '--honest <n>',
      'honest clients in the smallest cohort (default: all)',
      integerBetween(2, 100_000),
    )
    .option('--slot-bits <b>', 'bits of a slot of the sum', integerBetween(2, 32), 16)
    .addOption(
      new Option('--transport <transport>', 'what carries the one-time keys')
        .choices(['shares', 'bfv'])
        .default('shares'),
    )
    .action(async (options: ParamsFlags) => {
      const [long, bfv] = [await longFigures(options), await bfvFigures()];
      if (options.json) {
        printJson(long);
        printJson(bfv);
        return;
      }
      process.stdout.write(renderFields(longFields(long)));
      printLine('');
      process.stdout.write(renderFields(bfvFields(bfv)));
    });
}

async function longFigures({ parameters, clients, honest, slotBits, transport }: ParamsFlags) {
  const { chooseLong, describeLong } = await import('../../crypto/secagg/long/index.ts');
  const { loadBfv } = await import('../../crypto/secagg/bfv.ts');
  const { sharesHolderPartBytes } = await import('../../crypto/secagg/shares/index.ts');
  const { getSuite } = await import('../../crypto/identity/suite.ts');
  const bfv = await loadBfv();
  const holderPart = (count: number): number =>
    transport === 'bfv' ? bfv.ciphertextBytes(count).c1 : sharesHolderPartBytes(getSuite('intl'), 'x25519');
  // Throws PARAMETER_UNSAFE, with the figures, where a margin does not hold.
  const chosen = chooseLong({
    slotCount: parameters,
    slotBits,
    clients,
    honestClients: honest ?? clients,
    shortSum: transport,
    shortBytesPerSlot: (count) => (transport === 'bfv' ? bfv.ciphertextBytes(count).c0 : 2 * count),
    holderPartBytes: holderPart,
  });
  return {
    scheme: 'long-sum',
    transport,
    slots: parameters,
    clients,
    honestClients: honest ?? clients,
    ...describeLong(chosen, holderPart(chosen.polyDegree)),
    /** −log2 of the chance that noise alone takes a slot out of its range, where the signal leaves it its room. */
    overflowBits: SLOT_DEVIATIONS ** 2 / 2 / Math.LN2 - 1,
  };
}

type LongFigures = Awaited<ReturnType<typeof longFigures>>;

function longFields(figures: LongFigures): (readonly [string, Cell])[] {
  return [
    ['long sum', `${figures.slots} slots of ${figures.slotBits} bits, up to ${figures.clients} clients`],
    ['ring', `n = ${figures.polyDegree}, ${figures.primeCount} primes of 26 bits`],
    [
      'log2 q',
      `${figures.logModulus.toFixed(1)}, within ${figures.logModulusLimit}: 128 bits, ePrint 2024/463 (quantum: ${figures.logModulusQuantumLimit})`,
    ],
    ['sigma', `${figures.sigma.toFixed(2)} of key and errors; half of it is left once the sums are known`],
    [
      'packing',
      `${figures.slotsPerCoefficient} slots a coefficient, ${figures.coefficientCount} coefficients, n of them a polynomial`,
    ],
    [
      'noise margin',
      `${figures.noiseMarginSigmas.toFixed(1)} sigma; an honest sum is refused with 2^-${figures.failureBits.toFixed(0)}`,
    ],
    [
      'wrong opening',
      `passes unnoticed with 2^-${Math.min(9999, figures.undetectedBits).toFixed(0)} at most`,
    ],
    [
      'overflow',
      `2^-${figures.overflowBits.toFixed(0)} a slot where 12 sigma of the noise fit beside the signal`,
    ],
    [
      'upload',
      `${formatBytes(figures.uploadBytes)}, ${figures.ratioToFloat32.toFixed(3)} of the float32 vector; keys by ${figures.transport}`,
    ],
  ];
}

async function bfvFigures() {
  const he = await import('../../crypto/he/parameters.ts');
  const { loadBfv } = await import('../../crypto/secagg/bfv.ts');
  const { bfv4096: p, contributionsMax } = he;
  // Loading the module asserted it; asked again so that the sentence below is never printed untested.
  he.assertLatticeSecurity(p);
  const bfv = await loadBfv();
  const uploadBytes = (digits: number): number => {
    const { c0, c1 } = bfv.ciphertextBytes(digits);
    return c0 + c1;
  };
  const dataBits = p.dataPrimes.reduce((bits, prime) => bits + Math.log2(Number(prime)), 0);
  const smudgingCase = {
    contributions: contributionsMax,
    holderCount: HOLDERS,
    threshold: THRESHOLD,
    polynomials: 2,
  };
  return {
    scheme: 'threshold-bfv',
    polyDegree: p.polyDegree,
    dataPrimes: p.dataPrimes.map(String),
    specialPrime: String(p.specialPrime),
    modulusBits: dataBits + Math.log2(Number(p.specialPrime)),
    plainModulus: p.plainModulus,
    floodSigmaBits: p.floodSigmaBits,
    contributionsMax,
    freshNoiseSigma: he.freshNoiseSigma(p, HOLDERS),
    openingNoiseBits: Math.log2(he.openingNoiseMax(p, THRESHOLD, HOLDERS)),
    openingLimitBits: dataBits - Math.log2(2 * p.plainModulus),
    smudgingBits: he.smudgingBits(p, smudgingCase),
    bytes: { publicKey: bfv.publicKeyBytes, upload300: uploadBytes(300), upload4096: uploadBytes(4096) },
  };
}

type BfvFigures = Awaited<ReturnType<typeof bfvFigures>>;

function bfvFields(figures: BfvFigures): (readonly [string, Cell])[] {
  return [
    ['threshold BFV', `${THRESHOLD} of ${HOLDERS} holders open`],
    ['ring degree n', figures.polyDegree],
    ['data primes', figures.dataPrimes.join(', ')],
    ['special prime', figures.specialPrime],
    ['log2 of all primes', `${figures.modulusBits.toFixed(2)}, within the 128-bit limit of ePrint 2024/463`],
    ['plain modulus t', `${figures.plainModulus} (2^${Math.log2(figures.plainModulus)})`],
    ['flooding sigma', `2^${figures.floodSigmaBits} per holder`],
    ['contributions', `at most ${figures.contributionsMax} per sum`],
    ['fresh noise sigma', figures.freshNoiseSigma.toFixed(1)],
    [
      'opening noise',
      `2^${figures.openingNoiseBits.toFixed(2)} at most, below q/2t = 2^${figures.openingLimitBits.toFixed(2)}`,
    ],
    [
      'smudging',
      `${figures.smudgingBits.toFixed(1)} bits (${figures.contributionsMax} contributions, 2 polynomials)`,
    ],
    ['upload', `${figures.bytes.upload300} B for 300 digits, ${figures.bytes.upload4096} B for 4096`],
  ];
}
