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

export type LogFormat = 'json' | 'pretty';

/** Lines on stderr: stdout belongs to results. */
export function createLog(options: {
  readonly level: LogLevel;
  readonly format?: LogFormat;
  readonly fields?: Facts;
}): Log {
  const lines = pino.destination({ dest: 2, sync: true });
  const stream = options.format === 'pretty' ? { write: (line: string) => lines.write(prettyLine(line)) } : lines;
  return wrap(pino({ level: options.level, base: { ...options.fields } }, stream));
}

/** `12:34:56.789 WARN  p2p: peer refused peer=12D3KooW... code=BUSY`: a line of pino's JSON for a person. */
export function prettyLine(line: string): string {
  const { level, time, room, msg, ...facts } = JSON.parse(line) as Readonly<Record<string, unknown>>;
  const clock = new Date(Number(time)).toISOString().slice(11, 23);
  const label = (pino.levels.labels[Number(level)] ?? String(level)).toUpperCase().padEnd(5);
  const told = Object.entries(facts).map(
    ([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return `${clock} ${label} ${room === undefined ? '' : `${room}: `}${msg}${told.join('')}\n`;
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
