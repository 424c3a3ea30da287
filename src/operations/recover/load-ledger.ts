import { open, readFile, rename, rm } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { codeOf, HoldfastError } from "../../errors.ts";
import type { LoadLedger } from "../restore/load-dumps.ts";
import { syncFolder } from "../restore/restore-target-folder.ts";

const progressSchema = z.object({ server: z.string().nullable(), loaded: z.array(z.string()), begun: z.string().nullable() });
type Progress = z.infer<typeof progressSchema>;

/**
 * How far a recovery has come with loading databases into a server that is there, in a file beside the catalog: durable before each database and after it. It is of one server (`server`: its system
 * identifier, null where it does not tell); of another one nothing that is there is ours.
 */
export async function openLoadLedger(stateFolder: string, recovery: string, server: string | null): Promise<LoadLedger> {
  const file = fileOf(stateFolder, recovery);
  let progress = await readProgress(file);
  if (progress !== null && progress.server !== server)
    throw new HoldfastError(
      "HF-OTHER-CLUSTER",
      `this recovery loads into the server ${progress.server ?? "that did not tell which it is"}, and there is ${server ?? "another"} now`,
      {
        hint: "let the reference name the server that was begun with, or begin another recovery, without --resume",
      },
    );
  const keep = async (next: Progress): Promise<void> => {
    progress = next;
    await writeProgress(file, next);
  };
  const { loaded, begun } = progress ?? { loaded: [], begun: null };
  return {
    loaded,
    begun,
    begin: async (database) => keep({ server, loaded: progress?.loaded ?? [], begun: database }),
    end: async (database) => keep({ server, loaded: [...(progress?.loaded ?? []), database], begun: null }),
  };
}

/** Once all is loaded, and on record. */
export async function forgetLoading(stateFolder: string, recovery: string): Promise<void> {
  await rm(fileOf(stateFolder, recovery), { force: true });
}

function fileOf(stateFolder: string, recovery: string): string {
  return path.join(stateFolder, `recovery-${recovery}.json`);
}

async function readProgress(file: string): Promise<Progress | null> {
  try {
    return progressSchema.parse(JSON.parse(await readFile(file, "utf8")));
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    // Written whole or not at all: somebody else wrote in it. Without it nothing that is there is ours.
    throw new HoldfastError("HF-STORAGE", `${file} cannot be read as how far this recovery has come`, { hint: "begin another recovery, without --resume", cause: error });
  }
}

async function writeProgress(file: string, progress: Progress): Promise<void> {
  const handle = await open(`${file}.new`, "w", 0o600);
  try {
    await handle.writeFile(JSON.stringify(progress));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
  await syncFolder(path.dirname(file));
}
