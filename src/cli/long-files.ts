import { createHash } from "node:crypto";
import { closeSync, mkdirSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import path from "node:path";
import { csvHead, DRILLS, RECORD_TABLES, rowWriter, RUNS } from "../compliance/report-csv.ts";
import { recordLine } from "../compliance/report-json.ts";
import type { ReportLines } from "../compliance/report-json.ts";
import type { ReportSink } from "../compliance/report-extract.ts";
import type { SourceReport } from "../domain/compliance.ts";
import type { DrillRecord, RunRecord } from "../domain/control-population.ts";

/** Small pieces go to the disk together. */
const WRITE_BYTES = 1 << 18;
/** Of a character, in UTF-8. */
const MOST_BYTES = 3;

/** A file that is written piece by piece, and its digest. */
export class GrowingFile implements Disposable {
  readonly file: string;
  readonly #descriptor: number;
  readonly #hash = createHash("sha256");
  readonly #held = Buffer.allocUnsafeSlow(WRITE_BYTES);
  #heldBytes = 0;

  constructor(file: string) {
    this.file = file;
    this.#descriptor = openSync(file, "w+");
  }

  put(piece: string | Buffer): void {
    if (typeof piece !== "string") {
      this.#flush();
      this.#write(piece);
      return;
    }
    if (piece.length * MOST_BYTES > WRITE_BYTES - this.#heldBytes) this.#flush();
    if (piece.length * MOST_BYTES > WRITE_BYTES) this.#write(Buffer.from(piece));
    else this.#heldBytes += this.#held.write(piece, this.#heldBytes);
  }

  /** Hex, of all that was put. */
  digest(): string {
    this.#flush();
    return this.#hash.digest("hex");
  }

  /** What was put, in pieces. Each is good until the next one. */
  *pieces(): Generator<Buffer> {
    this.#flush();
    const piece = Buffer.allocUnsafeSlow(WRITE_BYTES);
    for (let at = 0; ;) {
      const length = readSync(this.#descriptor, piece, 0, WRITE_BYTES, at);
      if (length === 0) return;
      yield piece.subarray(0, length);
      at += length;
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor);
  }

  #flush(): void {
    this.#write(this.#held.subarray(0, this.#heldBytes));
    this.#heldBytes = 0;
  }

  #write(bytes: Buffer): void {
    this.#hash.update(bytes);
    for (let at = 0; at < bytes.length;) at += writeSync(this.#descriptor, bytes, at);
  }
}

/**
 * What is long in a report, written as it goes by: it is gone through once, and never held. Records as tables are files of the report; as JSON they, and what is long of each source, wait beside it, in files
 * that go away, for what stands before them.
 */
export class LongFiles implements ReportSink, Disposable {
  readonly #open = new DisposableStack();
  readonly #tables: Readonly<Record<"runs" | "drills", GrowingFile>> | null;
  readonly #lines: Readonly<Record<"sources" | "runs" | "drills", GrowingFile>> | null;
  readonly #toRow = { runs: rowWriter(RUNS), drills: rowWriter(DRILLS) };
  readonly #isFirst = { sources: true, runs: true, drills: true };

  constructor(folder: string, formats: readonly string[]) {
    mkdirSync(folder, { recursive: true });
    const file = (name: string): GrowingFile => this.#open.use(new GrowingFile(path.join(folder, name)));
    this.#tables = formats.includes("csv") ? { runs: file(RECORD_TABLES.runs), drills: file(RECORD_TABLES.drills) } : null;
    const passing = (name: string): GrowingFile => this.#passing(file(`${name}.json.part`));
    this.#lines = formats.includes("json") ? { sources: passing("sources"), runs: passing("runs"), drills: passing("drills") } : null;
    this.#tables?.runs.put(csvHead(RUNS));
    this.#tables?.drills.put(csvHead(DRILLS));
  }

  run(record: RunRecord): void {
    this.#tables?.runs.put(this.#toRow.runs(record));
    this.#putLine("runs", record);
  }

  drill(record: DrillRecord): void {
    this.#tables?.drills.put(this.#toRow.drills(record));
    this.#putLine("drills", record);
  }

  source(report: SourceReport): void {
    this.#putLine("sources", report);
  }

  /** Those that are files of the report. */
  tables(): { name: string; sha256: string }[] {
    if (this.#tables === null) return [];
    return [
      { name: RECORD_TABLES.drills, sha256: this.#tables.drills.digest() },
      { name: RECORD_TABLES.runs, sha256: this.#tables.runs.digest() },
    ];
  }

  /** As they stand in the JSON. */
  lines(): ReportLines {
    const pieces = (kind: "sources" | "runs" | "drills"): Iterable<Buffer> => this.#lines?.[kind].pieces() ?? [];
    return { sources: pieces("sources"), runs: pieces("runs"), drills: pieces("drills") };
  }

  [Symbol.dispose](): void {
    this.#open.dispose();
  }

  #putLine(kind: "sources" | "runs" | "drills", value: object): void {
    this.#lines?.[kind].put(recordLine(value, this.#isFirst[kind]));
    this.#isFirst[kind] = false;
  }

  #passing(growing: GrowingFile): GrowingFile {
    this.#open.defer(() => rmSync(growing.file, { force: true }));
    return growing;
  }
}
