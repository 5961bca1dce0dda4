// Peers kept across restarts: the signed address records of those that this node was connected to, in one small file. A node whose boot nodes are all gone
// finds the network again through them. Trusts the file no more than a stranger's answer: it is one, read from the disk.

import { randomBytes } from 'node:crypto';
import { open, rename, rm, writeFile } from 'node:fs/promises';
import type { PeerId } from '../types/ids.ts';
import { errorCode, errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import type { OverlayNode } from './libp2p-node.ts';
import { encodeWanted, learnPeers, namePeers, PEERS_OPTIONS } from './peer-exchange.ts';

/** The first time soon: a node may be stopped again at once. */
const FIRST_SAVE_MS = 10_000;
const SAVE_MS = 60_000;

export interface PeerFile {
  /** Who was known; their addresses are in the peer store then. A file that is not there or cannot be read names nobody. */
  load(): Promise<readonly PeerId[]>;
  /** Writes those who are connected, members first, when it is time. */
  sweep(nowMs: number): Promise<void>;
  save(): Promise<void>;
}

export function createPeerFile(
  file: string,
  {
    node,
    isMember,
    log,
  }: { readonly node: OverlayNode; readonly isMember: (peer: PeerId) => boolean; readonly log: Log },
): PeerFile {
  const self = node.peerId.toString() as PeerId;
  let dueMs: number | undefined;

  async function save(): Promise<void> {
    // Nobody new is no reason to forget those of before.
    if (node.getPeers().length === 0) return;
    const temporary = `${file}.${randomBytes(4).toString('hex')}`;
    try {
      await writeFile(temporary, await namePeers(node, isMember, encodeWanted([]), self), { mode: 0o600 });
      await rename(temporary, file);
    } catch (error) {
      log.warn('peers not kept', { file, error: errorMessage(error) });
      await rm(temporary, { force: true }).catch(() => undefined);
    }
  }

  return {
    async load() {
      try {
        return await learnPeers(node, await readBounded(file, PEERS_OPTIONS.maxFrameBytes), log);
      } catch (error) {
        if (errorCode(error) !== 'ENOENT') log.warn('kept peers not read', { file, error: errorMessage(error) });
        return [];
      }
    },
    async sweep(nowMs) {
      dueMs ??= nowMs + FIRST_SAVE_MS;
      if (nowMs < dueMs) return;
      dueMs = nowMs + SAVE_MS;
      await save();
    },
    save,
  };
}

/** Its size is looked at before the memory is taken. */
async function readBounded(file: string, maxBytes: number): Promise<Uint8Array> {
  await using handle = await open(file);
  const { size } = await handle.stat();
  if (size > maxBytes) throw new RangeError(`${size} bytes are more than the ${maxBytes} that such a file may have`);
  return handle.readFile();
}
