// Host functions that check signatures. A malformed signature is an answer (false, or an error code), never a trap.

import { ed25519Verify, secp256k1Recover, sr25519Verify } from '@polkadot/util-crypto';
import { concatBytes } from '../../util/bytes.ts';
import type { HostContext, HostFunctions } from './context.ts';

/** EcdsaVerifyError of sp-io. */
const BAD_RS = 0;
const BAD_V = 1;
const BAD_SIGNATURE = 2;

/** Order of the group of secp256k1 (SEC 2, 2.4.1): r and s at or above it are malformed. */
const SECP256K1_ORDER = Buffer.from('fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141', 'hex');

export function cryptoFunctions({ memory }: HostContext): HostFunctions {
  const recover = (form: 'expanded' | 'compressed') => (signature: number, message: number) =>
    memory.placeSpan(recoverResult(memory.view(signature, 65), memory.view(message, 32), form));
  return {
    ext_crypto_secp256k1_ecdsa_recover_version_2: recover('expanded'),
    ext_crypto_secp256k1_ecdsa_recover_compressed_version_2: recover('compressed'),
    ext_crypto_sr25519_verify_version_2: (signature: number, message: bigint, publicKey: number) =>
      verified(() =>
        sr25519Verify(memory.copy(message), copy(memory.view(signature, 64)), copy(memory.view(publicKey, 32))),
      ),
    ext_crypto_ed25519_verify_version_1: (signature: number, message: bigint, publicKey: number) =>
      verified(() =>
        ed25519Verify(memory.copy(message), copy(memory.view(signature, 64)), copy(memory.view(publicKey, 32))),
      ),
  };
}

function copy(view: Uint8Array): Uint8Array {
  return new Uint8Array(view);
}

function verified(check: () => boolean): number {
  try {
    return check() ? 1 : 0;
  } catch {
    return 0;
  }
}

/** SCALE of Result<public key, EcdsaVerifyError>: 64 bytes x || y, or 33 compressed ones. `v` is 0-3, or that plus 27. */
function recoverResult(signature: Uint8Array, message: Uint8Array, form: 'expanded' | 'compressed'): Uint8Array {
  const last = signature[64] as number;
  const recovery = last > 26 ? last - 27 : last;
  if (recovery > 3) return Uint8Array.of(1, BAD_V);
  const [r, s] = [signature.subarray(0, 32), signature.subarray(32, 64)];
  if (Buffer.compare(r, SECP256K1_ORDER) >= 0 || Buffer.compare(s, SECP256K1_ORDER) >= 0)
    return Uint8Array.of(1, BAD_RS);
  try {
    const key = secp256k1Recover(
      copy(message),
      copy(signature.subarray(0, 64)),
      recovery,
      form === 'expanded' ? 'keccak' : 'blake2',
    );
    return concatBytes(Uint8Array.of(0), key);
  } catch {
    return Uint8Array.of(1, BAD_SIGNATURE);
  }
}
