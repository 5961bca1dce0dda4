// Blocks of a development chain at the pace of the nodes that follow it: one when all have acted on the one before.

import type { Running } from './cli.ts';

/** @param nodes processes of `tessera run --json` */
export async function nextBlock(endpoint: string, nodes: readonly Running[]): Promise<number> {
  await ask(endpoint, 'dev_newBlock');
  const { number } = (await ask(endpoint, 'chain_getHeader')) as { readonly number: string };
  const block = Number(number);
  await Promise.all(nodes.map((node) => node.waitFor((line) => line.event === 'head' && Number(line.block) >= block)));
  return block;
}

async function ask(endpoint: string, method: string): Promise<unknown> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: [] });
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(endpoint.replace('ws://', 'http://'), { method: 'POST', headers, body });
  return ((await answer.json()) as { readonly result: unknown }).result;
}
