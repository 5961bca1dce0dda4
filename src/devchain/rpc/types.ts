// The shapes of RPC methods and subscriptions. Methods are plain functions in tables; session.ts runs them for one client.

import type { Params } from './params.ts';

/** Answers the result, or throws: errors.ts says what the client gets. */
export type Method = (params: Params) => unknown;

export type Methods = Readonly<Record<string, Method>>;

export interface Subscription {
  /** Method name of its notices. */
  readonly notice: string;
  /** Method that ends it. */
  readonly unsubscribe: string;
  /** Does what a wrong request would fail at; nothing is sent before `start`. */
  open(params: Params): OpenSubscription;
}

export interface OpenSubscription {
  /** Called when the client has its id: sends what there is to say at once, then news. Answers how to stop. */
  start(notify: (result: unknown) => void): () => void;
}

export type Subscriptions = Readonly<Record<string, Subscription>>;
