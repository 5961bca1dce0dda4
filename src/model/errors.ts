// What may be wrong with a model's files. The hoster and the CLI show these to a person.

import { CodedError } from '../util/errors.ts';

export type ModelErrorFacts =
  /** The manifest is not one: not canonical, unknown keys, contradictions. */
  | { readonly code: 'MODEL_MANIFEST'; readonly why: string }
  /** A file has other bytes than the manifest names. */
  | { readonly code: 'MODEL_HASH'; readonly file: string }
  /** A file cannot be used: missing, a link, no plain file, too large. */
  | { readonly code: 'MODEL_FILE'; readonly file: string; readonly why: string }
  /** An imported model has something that this version cannot run. */
  | { readonly code: 'MODEL_UNSUPPORTED'; readonly key: string }
  /** The model's own chat template does not take these messages: wrong roles, wrong order. */
  | { readonly code: 'CHAT_REFUSED'; readonly why: string };

export class ModelError extends CodedError<ModelErrorFacts> {}
