import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chmodSync } from "node:fs";
import { requirePostgres } from "../../test/support/postgres-binaries.ts";
import { findPgbackrest } from "./pgbackrest.ts";
import { measureArchiving, measureStreamLag } from "./wal-archiving.ts";

/** `npm run bench:wal`: how fast WAL is archived, with and without the spooler and with pgBackRest where it is installed, and how far a stream is behind. Prints JSON. */
const { values } = parseArgs({
  options: {
    segments: { type: "string", default: "32" },
    major: { type: "string", default: "15" },
    seconds: { type: "string", default: "20" },
    rate: { type: "string", default: "30" },
  },
});
const binaries = await requirePostgres(Number(values.major));
const folder = await mkdtemp(join(tmpdir(), "hf-wal-"));
chmodSync(folder, 0o755);
try {
  const archiving = await measureArchiving(binaries, { segments: Number(values.segments), pgbackrest: (await findPgbackrest())?.program ?? null, folder });
  const lag = await measureStreamLag(binaries, { seconds: Number(values.seconds), walMegabytesPerSecond: Number(values.rate) });
  console.log(JSON.stringify({ postgres: binaries.version, archiving, lag }, null, 2));
} finally {
  await rm(folder, { recursive: true, force: true });
}
