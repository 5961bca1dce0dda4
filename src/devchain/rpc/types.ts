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
  /**
   * Notifies of what there is to say at once, then of news; answers how to stop, or throws as a method does. What is notified before the
   * client has the subscription's id waits until then.
   */
  open(params: Params, notify: (result: unknown) => void): () => void;
}

export type Subscriptions = Readonly<Record<string, Subscription>>;
