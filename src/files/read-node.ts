import { constants } from "node:fs";
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { factsOf } from "./node-facts.ts";
import type { NodeFacts } from "./node-facts.ts";
import type { FoundNode } from "./tree-walk.ts";

/** Not followed if it is a link by now, and not waited for if it is a pipe. */
const TO_READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** A file opened to be read, with what it was when it was opened. */
export interface OpenNode {
  readonly handle: FileHandle;
  readonly facts: NodeFacts;
}

/** Null where something else than a file has its name by now. */
export async function openNode({ folder, name }: FoundNode): Promise<OpenNode | null> {
  const handle = await open(folder.place(name), TO_READ);
  try {
    const facts = factsOf(await handle.stat({ bigint: true }));
    if (facts.type === "file") return { handle, facts };
    await handle.close();
    return null;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Fills as much of a buffer as the file has from a place on. */
export async function readAt(handle: FileHandle, into: Buffer, position: number): Promise<number> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await handle.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/** How a file fared while it was read. */
export type Steadiness = "steady" | "grew" | "changed";

/** Compares what a file was when it was opened with what it is now that it was read. Its owner or permissions may have changed as well: then it is read again too. */
export async function steadinessOf({ handle, facts }: OpenNode): Promise<Steadiness> {
  const now = factsOf(await handle.stat({ bigint: true }));
  if (now.attributes.seen === facts.attributes.seen && now.attributes.modified === facts.attributes.modified && now.size === facts.size) return "steady";
  return now.size > facts.size ? "grew" : "changed";
}
