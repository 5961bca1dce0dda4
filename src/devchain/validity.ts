// What a runtime says of a transaction: TransactionValidity before it is in a block, ApplyExtrinsicResult when it is put into one.

import { bytesToKey } from './hex.ts';
import { createReader, type ScaleReader } from './scale.ts';

/** An opaque byte string that transactions provide and require (for accounts: account and nonce); one char per byte. */
export type Tag = string;

export interface ValidTransaction {
  readonly priority: bigint;
  readonly requires: readonly Tag[];
  readonly provides: readonly Tag[];
  /** Blocks for which this answer holds. */
  readonly longevity: bigint;
}

export type Refusal =
  | { readonly kind: 'invalid'; readonly name: string; readonly text: string }
  | { readonly kind: 'unknown'; readonly name: string; readonly text: string };

/** sp_runtime::InvalidTransaction in index order, with the texts a node answers. */
const INVALID: readonly (readonly [string, string])[] = [
  ['Call', 'Transaction call is not expected'],
  ['Payment', 'Inability to pay some fees (e.g. account balance too low)'],
  ['Future', 'Transaction will be valid in the future'],
  ['Stale', 'Transaction is outdated'],
  ['BadProof', 'Transaction has a bad signature'],
  ['AncientBirthBlock', 'Transaction has an ancient birth block'],
  ['ExhaustsResources', 'Transaction would exhaust the block limits'],
  ['Custom', 'InvalidTransaction custom error'],
  ['BadMandatory', 'A call was labelled as mandatory, but resulted in an Error.'],
  ['MandatoryValidation', 'Transaction dispatch is mandatory; transactions must not be validated.'],
  ['BadSigner', 'Invalid signing address'],
  ['IndeterminateImplicit', 'The implicit data was unable to be calculated'],
  ['UnknownOrigin', 'The transaction extension did not authorize any origin'],
];

/** sp_runtime::UnknownTransaction in index order. */
const UNKNOWN: readonly (readonly [string, string])[] = [
  ['CannotLookup', 'Could not lookup information required to validate the transaction'],
  ['NoUnsignedValidator', 'Could not find an unsigned validator for the unsigned transaction'],
  ['Custom', 'UnknownTransaction custom error'],
];

/** Result<ValidTransaction, TransactionValidityError> */
export function decodeValidity(bytes: Uint8Array): ValidTransaction | Refusal {
  const reader = createReader(bytes);
  if (reader.u8() !== 0) return refusal(reader);
  const tags = () => Array.from({ length: reader.compact() }, () => bytesToKey(reader.vec()));
  return { priority: reader.u64(), requires: tags(), provides: tags(), longevity: reader.u64() };
}

/** Result<dispatch outcome, TransactionValidityError>: undefined when the extrinsic belongs into the block, also when its call failed. */
export function decodeApplyRefusal(bytes: Uint8Array): Refusal | undefined {
  const reader = createReader(bytes);
  return reader.u8() === 0 ? undefined : refusal(reader);
}

export function isRefusal(validity: ValidTransaction | Refusal): validity is Refusal {
  return 'kind' in validity;
}

function refusal(reader: ScaleReader): Refusal {
  const kind = reader.u8() === 0 ? 'invalid' : 'unknown';
  const index = reader.u8();
  const [name, text] = (kind === 'invalid' ? INVALID : UNKNOWN)[index] ?? [
    `Variant${index}`,
    `Unknown variant ${index}`,
  ];
  return { kind, name, text: name === 'Custom' ? `Custom error: ${reader.u8()}` : text };
}
