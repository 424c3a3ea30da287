import { execFile } from "node:child_process";
import { chmod, mkdir, rename, stat, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { createConnection, createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../../src/clock.ts";
import type { OperationContext } from "../../../../src/operations/context.ts";
import { pushClientScript } from "../../../../src/operations/wal/push-client.ts";
import { serveSpool } from "../../../../src/operations/wal/spool-server.ts";
import { WalSpooler } from "../../../../src/operations/wal/wal-spooler.ts";
import type { WritableRepository } from "../../../../src/repository/repository.ts";
import { openRepositoryFixture } from "../../../support/repository-fixture.ts";
import { openScratchFolder } from "../../../support/scratch-folder.ts";
import { SEGMENT_BYTES, WalBuilder } from "../../../support/wal-builder.ts";
import { WalFixture } from "../../../support/wal-fixture.ts";

const run = promisify(execFile);
const FIRST = 3;
const nameOf = (number: number): string => `0000000100000000${number.toString(16).padStart(8, "0").toUpperCase()}`;

/** Whole segments, full of records of a size. */
function builderOf(segments: number, recordBytes: number): WalBuilder {
  const builder = new WalBuilder({ segments: segments + 1, firstSegment: FIRST });
  while (builder.position < BigInt((FIRST + segments) * SEGMENT_BYTES)) builder.filler(recordBytes);
  return builder;
}

/** The spooler behind its socket and its real client, on a real repository; PostgreSQL is a folder of segments here. */
describe("the spooler of WAL", () => {
  let resources: AsyncDisposableStack;
  let repository: WritableRepository;
  let fixture: WalFixture;
  let wal: string;
  let socket: string;
  let client: string;
  let stop: AbortController;
  let opened: number;
  const notices: string[] = [];

  beforeEach(async () => {
    await using stack = new AsyncDisposableStack();
    const place = stack.use(await openScratchFolder());
    repository = await stack.use(await openRepositoryFixture()).open();
    fixture = await WalFixture.open(repository);
    wal = join(place.path, "pg_wal");
    await mkdir(join(wal, "archive_status"), { recursive: true });
    socket = join(place.path, "wal.sock");
    client = join(place.path, "archive");
    // What the client does where nobody answers is seen by what it leaves behind.
    await writeFile(client, pushClientScript({ source: "db", socket, direct: ["sh", "-c", `echo "$1" > '${place.path}/direct'`, "-"] }));
    await chmod(client, 0o755);
    stop = new AbortController();
    opened = 0;
    stack.defer(() => stop.abort());
    resources = stack.move();
  });
  afterEach(async () => resources.disposeAsync());

  async function start(): Promise<{ served: Promise<void> }> {
    const context: OperationContext = { clock: systemClock, signal: new AbortController().signal, onProgress: () => undefined, onNotice: (text) => void notices.push(text) };
    const spooler = new WalSpooler({
      source: "db",
      context,
      repositories: async () => {
        opened++;
        return [repository];
      },
    });
    const served = serveSpool({ socket, signal: stop.signal, push: async (_, file) => spooler.push(file) });
    served.catch(() => undefined);
    for (let i = 0; i < 200 && (await stat(socket).catch(() => null)) === null; i++) await systemClock.sleep(10);
    return { served };
  }

  /** Segments as the server finishes them. */
  async function finish(numbers: readonly number[]): Promise<void> {
    const builder = builderOf(Math.max(...numbers) - FIRST + 1, 8000);
    for (const number of numbers) {
      await writeFile(join(wal, nameOf(number)), builder.segment(number));
      await writeFile(join(wal, "archive_status", `${nameOf(number)}.ready`), "");
    }
  }

  const held = async (): Promise<string[]> => [...(await fixture.view()).inventory.segments.keys()].toSorted();
  const push = async (file: string): Promise<number> =>
    run(client, [file], { cwd: join(wal, "..") }).then(
      () => 0,
      (error: unknown) => (error as { code?: number }).code ?? -1,
    );
  const pushedDirectly = async (): Promise<boolean> => (await stat(join(wal, "../direct")).catch(() => null)) !== null;

  test("stores what the client names before it answers, and what comes next meanwhile", async () => {
    await start();
    await finish([3, 4, 5, 6]);
    expect(await push(`pg_wal/${nameOf(3)}`)).toBe(0);
    expect(await held()).toContain(nameOf(3));
    for (let i = 0; i < 500 && (await held()).length < 4; i++) await systemClock.sleep(10);
    expect(await held()).toEqual([3, 4, 5, 6].map(nameOf));
    const before = opened;
    for (const number of [4, 5, 6, 6]) expect(await push(`pg_wal/${nameOf(number)}`)).toBe(0);
    // They were there: nothing was opened for them.
    expect(opened).toBe(before);
    expect(await pushedDirectly()).toBe(false);
    expect((await fixture.view()).gaps()).toEqual([]);
  });

  test("takes another file under a name that it answered for as another, and refuses it", async () => {
    await start();
    await finish([3]);
    expect(await push(`pg_wal/${nameOf(3)}`)).toBe(0);
    await writeFile(join(wal, "other"), builderOf(1, 4000).segment(3));
    await rename(join(wal, "other"), join(wal, nameOf(3)));
    expect(await push(`pg_wal/${nameOf(3)}`)).toBe(4);
    expect(await pushedDirectly()).toBe(false);
  });

  test("says what `wal push` would: wrong files are refused, and what is not there may come", async () => {
    await start();
    expect(await push("pg_wal/nonsense")).toBe(3);
    await writeFile(join(wal, "nonsense"), "x");
    expect(await push("pg_wal/nonsense")).toBe(2);
    await writeFile(join(wal, nameOf(9)), "");
    expect(await push(`pg_wal/${nameOf(9)}`)).toBe(3);
    await finish([9]);
    expect(await push(`pg_wal/${nameOf(9)}`)).toBe(0);
  });

  test("where nobody answers, the client archives the file itself: no spooler, one that dies over it, half an answer", async () => {
    await finish([3]);
    for (const behaviour of ["nobody", "dies", "half an answer"] as const) {
      await rename(join(wal, "../direct"), join(wal, "../before")).catch(() => undefined);
      const server = createServer((connection) => {
        connection.on("error", () => undefined);
        connection.once("data", () => (behaviour === "dies" ? connection.destroy() : connection.end("0 stor")));
      });
      if (behaviour !== "nobody") await once(server.listen(socket), "listening");
      expect(await push(`pg_wal/${nameOf(3)}`), behaviour).toBe(0);
      expect(await pushedDirectly(), behaviour).toBe(true);
      if (behaviour !== "nobody") await once(server.close(), "close");
    }
    expect(await held()).toEqual([]);
  });

  async function answers(): Promise<boolean> {
    const probe = createConnection(socket);
    try {
      await once(probe, "connect");
      return true;
    } catch {
      return false;
    } finally {
      probe.destroy();
    }
  }

  test("a socket that was left behind is taken over, one that somebody answers on is not", async () => {
    await writeFile(socket, "");
    await start();
    // The file that lay there was no socket; and one that is there may not be listened on yet.
    for (let i = 0; i < 200 && !(await answers()); i++) await systemClock.sleep(10);
    await finish([3]);
    expect(await push(`pg_wal/${nameOf(3)}`)).toBe(0);
    await expect(serveSpool({ socket, signal: stop.signal, push: async () => ({ file: "", stored: false, reason: null }) })).rejects.toMatchObject({ code: "HF-BUSY" });
    expect((await stat(socket)).mode & 0o777).toBe(0o600);
  });

  test("stopping it keeps what it is at, and lets go of who has not asked yet", async () => {
    const { served } = await start();
    const idle = createConnection(socket);
    const closed = once(idle, "close");
    await finish([3]);
    const pushing = push(`pg_wal/${nameOf(3)}`);
    for (let i = 0; i < 500 && opened === 0; i++) await systemClock.sleep(2);
    stop.abort();
    await Promise.all([served, closed]);
    expect(await pushing).toBe(0);
    expect(await held()).toEqual([nameOf(3)]);
  });
});
