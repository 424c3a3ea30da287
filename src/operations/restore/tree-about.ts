import { z } from "zod";
import { DamageError } from "../../errors.ts";
import { FINDING_KINDS } from "../../files/findings.ts";
import { parseJson, parsePayload } from "../../repository/document.ts";
import { keys } from "../../repository/layout.ts";
import { blockSizeOf } from "../../repository/manifest.ts";
import type { Manifest } from "../../repository/manifest.ts";
import type { ChainReader } from "../../repository/map-reader.ts";
import { ABOUT_TREE } from "../tree-names.ts";
import { readFile } from "./restore-files.ts";

const count = z.number().int().nonnegative();

const aboutTreeSchema = z.object({
  root: z.string(),
  host: z.string(),
  attributes: z.object({ mode: count, uid: count, gid: count, modified: z.string().regex(/^-?\d{1,20}$/), seen: z.string().nullable() }),
  exclude: z.array(z.string()),
  oneFileSystem: z.boolean(),
  counts: z.object({ skipped: count, changed: count, grew: count, vanished: count, unread: count }),
  findings: z.array(z.object({ kind: z.enum(FINDING_KINDS), path: z.string(), detail: z.string() })),
});
export type AboutTree = z.infer<typeof aboutTreeSchema>;

export async function readAboutTree(chain: ChainReader, manifest: Manifest): Promise<AboutTree> {
  return readAbout(chain, manifest, ABOUT_TREE, aboutTreeSchema);
}

/** A document that a backup has about itself. */
export async function readAbout<T extends z.ZodType>(chain: ChainReader, manifest: Manifest, path: string, schema: T): Promise<z.infer<T>> {
  const key = keys.manifest(manifest.source, manifest.id);
  for (const ref of (await chain.root(manifest.id)).late)
    for (const entry of await chain.chunk(ref))
      if (entry.type === "file" && entry.path === path) return parsePayload(key, parseJson(key, await readFile(chain, entry, blockSizeOf(manifest))), schema);
  throw new DamageError(key, `its map has no ${path}`);
}
