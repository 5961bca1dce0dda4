// What a graph may be refused for. The reader trusts nothing: every byte may come from a stranger.

import { CodedError } from '../util/errors.ts';

/** The bytes are no model of the small ONNX language that this program writes and runs. */
export class GraphError extends CodedError<{ readonly code: 'GRAPH_MALFORMED' }> {
  constructor(why: string) {
    super({ code: 'GRAPH_MALFORMED' }, `malformed graph: ${why}`);
  }
}
