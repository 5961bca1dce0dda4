// The policy of a subnet as an owner writes it: a YAML file with shares as decimal numbers of 1, checked before anything is paid for.

import { existsSync, readFileSync } from 'node:fs';
import yaml from 'yaml';
import { z } from 'zod';
import type { Policy } from '../types/subnet.ts';
import { UsageError } from './exit.ts';

const DECIMALS = 18;

/** A part of 1 with at most 18 decimals -> of ONE. Read as text: a float would round. */
const share = z.string().transform((text, context) => {
  const match = /^(0|1)(?:\.(\d{1,18}))?$/.exec(text);
  const value = match === null ? undefined : BigInt(`${match[1]}${(match[2] ?? '').padEnd(DECIMALS, '0')}`);
  if (value !== undefined && value <= 10n ** BigInt(DECIMALS)) return value;
  context.addIssue({ code: 'custom', message: 'expected a part of 1 such as 0.75' });
  return z.NEVER;
});

const POLICY_FILE = z.strictObject({
  'hoster-share': share.optional(),
  'attestor-share': share.optional(),
  'challenge-tokens': z.coerce.number().int().min(1).max(256).optional(),
  'audit-rate': share.optional(),
  access: z.enum(['open', 'registered', 'private']).optional(),
});

/** What the file says; what it leaves out stays as it is. */
export function readPolicyFile(file: string): Partial<Policy> {
  if (!existsSync(file)) throw new UsageError(`policy file ${file} does not exist`);
  return parsePolicy(readFileSync(file, 'utf8'), file);
}

export function parsePolicy(text: string, file: string): Partial<Policy> {
  const parsed = POLICY_FILE.safeParse(yaml.parse(text, { schema: 'failsafe' }) ?? {});
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new UsageError(`policy file ${file}: ${issue?.path.join('.') ?? ''} ${issue?.message ?? 'is not a policy'}`);
  }
  const { data } = parsed;
  const policy = {
    hosterShare: data['hoster-share'],
    attestorShare: data['attestor-share'],
    challengeTokens: data['challenge-tokens'],
    auditRate: data['audit-rate'],
    access: data.access,
  };
  return Object.fromEntries(Object.entries(policy).filter(([, value]) => value !== undefined));
}
