// Yamux writes window updates in microtasks of its own, where nobody can catch what a connection that has just ended throws: the process would end, and
// any peer could bring that about by closing at the right moment. Such a write is lost, as it would be a moment later, and the connection is given up.

import type { MessageStream, StreamMuxerFactory } from '@libp2p/interface';

export function sturdyMuxer<Components>(
  create: (components: Components) => StreamMuxerFactory,
): (components: Components) => StreamMuxerFactory {
  return (components) => {
    const factory = create(components);
    const createStreamMuxer = factory.createStreamMuxer.bind(factory);
    factory.createStreamMuxer = (connection) => createStreamMuxer(sturdy(connection));
    return factory;
  };
}

/** libp2p's error for whoever writes after the end. */
const AFTER_THE_END = 'StreamStateError';

function sturdy(connection: MessageStream): MessageStream {
  const send = connection.send.bind(connection);
  connection.send = (data) => {
    try {
      return send(data);
    } catch (error) {
      if (!(error instanceof Error) || error.name !== AFTER_THE_END) throw error;
      if (connection.status !== 'closing') connection.abort(error);
      return true; // nobody need wait for room
    }
  };
  return connection;
}
