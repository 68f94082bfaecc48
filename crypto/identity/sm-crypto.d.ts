/** Types of the parts of sm-crypto 0.5.8 that suite-gm.ts uses (the package ships none). */
declare module 'sm-crypto' {
  interface SignOptions {
    readonly hash: true;
    readonly userId: string;
    readonly publicKey?: string;
    readonly pointPool?: { k: JsbnInteger; x1: JsbnInteger }[];
  }
  export interface JsbnInteger {
    toString(radix: number): string;
  }
  export const sm2: {
    generateKeyPairHex(
      seed?: string,
      radix?: number,
    ): { readonly publicKey: string; readonly privateKey: string };
    getPoint(): { readonly k: JsbnInteger; readonly x1: JsbnInteger };
    getPublicKeyFromPrivateKey(privateKey: string): string;
    verifyPublicKey(publicKey: string): boolean;
    doSignature(message: readonly number[], privateKey: string, options: SignOptions): string;
    doVerifySignature(
      message: readonly number[],
      signature: string,
      publicKey: string,
      options: SignOptions,
    ): boolean;
    doEncrypt(message: readonly number[], publicKey: string, cipherMode: 0 | 1): string;
    doDecrypt(
      ciphertext: string,
      privateKey: string,
      cipherMode: 0 | 1,
      options: { readonly output: 'array' },
    ): number[];
  };
  const smCrypto: { readonly sm2: typeof sm2 };
  export default smCrypto;
}
declare module 'sm-crypto/src/sm2/rng.js' {
  export class SecureRandom {
    nextBytes(target: number[]): void;
  }
}
