// Logging: constant words first, facts beside them, no secrets. A logger is injected; a child per room names where a line comes from.

import pino from 'pino';

type Facts = Readonly<Record<string, unknown>>;

export interface Log {
  debug(message: string, facts?: Facts): void;
  info(message: string, facts?: Facts): void;
  warn(message: string, facts?: Facts): void;
  error(message: string, facts?: Facts): void;
  child(room: string): Log;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** JSON lines on stderr: stdout belongs to results. */
export function createLog(options: { readonly level: LogLevel; readonly fields?: Facts }): Log {
  return wrap(pino({ level: options.level, base: { ...options.fields } }, pino.destination({ dest: 2, sync: true })));
}

/** For tests and library users who want silence. */
export const silentLog: Log = wrap(pino({ level: 'silent' }));

function wrap(logger: pino.Logger): Log {
  return {
    debug: (message, facts) => logger.debug(plain(facts), message),
    info: (message, facts) => logger.info(plain(facts), message),
    warn: (message, facts) => logger.warn(plain(facts), message),
    error: (message, facts) => logger.error(plain(facts), message),
    child: (room) => wrap(logger.child({ room })),
  };
}

function plain(facts: Facts = {}): Facts {
  return Object.fromEntries(
    Object.entries(facts).map(([key, value]) => [key, typeof value === 'bigint' ? value.toString() : value]),
  );
}
