import { readdir, rm } from "node:fs/promises";
import path from "node:path";
import type { RestoreFolder } from "./restore-files.ts";
import { syncFolder } from "./restore-target-folder.ts";

/**
 * State files of prepared transactions that were begun after the backup's start: a checkpoint wrote them while it ran. Their PREPARE is in the WAL that is replayed, so recovery wants to
 * remove them first. From 17 on it looks for them under another epoch's name, does not find them, and later skips the PREPARE because the file is there: the transaction would be lost,
 * with nothing but a warning. Names are the whole 64-bit number from 17 on; before, 32 bits of it, and recovery does the right thing itself.
 */
export async function removeFutureTransactions(folder: RestoreFolder, nextXid: bigint): Promise<void> {
  const place = path.join(folder.root, "pg_twophase");
  const future = (await readdir(place)).filter((name) => /^[0-9A-F]{16}$/.test(name) && BigInt(`0x${name}`) >= nextXid);
  for (const name of future) await rm(path.join(place, name));
  if (future.length > 0) await syncFolder(place);
}
