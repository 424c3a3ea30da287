import { createHash } from "node:crypto";
import { closeSync, mkdirSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import path from "node:path";
import { csvHead, DRILLS, RECORD_TABLES, rowWriter, RUNS } from "../compliance/report-csv.ts";
import { recordLine } from "../compliance/report-json.ts";
import type { RecordLines } from "../compliance/report-json.ts";
import type { HeldPopulation } from "../domain/control-population.ts";

/** Small pieces go to the disk together. */
const WRITE_BYTES = 1 << 18;

/** A file that is written piece by piece, and its digest. */
export class GrowingFile implements Disposable {
  readonly file: string;
  readonly #descriptor: number;
  readonly #hash = createHash("sha256");
  #held: string[] = [];
  #heldLength = 0;

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
    this.#held.push(piece);
    this.#heldLength += piece.length;
    if (this.#heldLength >= WRITE_BYTES) this.#flush();
  }

  /** Hex, of all that was put. */
  digest(): string {
    this.#flush();
    return this.#hash.digest("hex");
  }

  /** What was put, in pieces. */
  *pieces(): Generator<Buffer> {
    this.#flush();
    for (let at = 0; ;) {
      const piece = Buffer.allocUnsafe(WRITE_BYTES);
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
    const text = this.#held.join("");
    [this.#held, this.#heldLength] = [[], 0];
    this.#write(Buffer.from(text));
  }

  #write(bytes: Buffer): void {
    this.#hash.update(bytes);
    for (let at = 0; at < bytes.length;) at += writeSync(this.#descriptor, bytes, at);
  }
}

/**
 * The records of a report, written as they are read: they are gone through once, and never held. As tables they are files of the report; as JSON they wait beside it, in a file that goes away, for the
 * figures that stand before them.
 */
export class RecordFiles implements Disposable {
  readonly #open = new DisposableStack();
  readonly #tables: Record<"runs" | "drills", GrowingFile> | null;
  readonly #lines: Record<"runs" | "drills", GrowingFile> | null;
  readonly #toRow = { runs: rowWriter(RUNS), drills: rowWriter(DRILLS) };
  readonly #isFirst = { runs: true, drills: true };

  constructor(folder: string, formats: readonly string[]) {
    mkdirSync(folder, { recursive: true });
    const file = (name: string): GrowingFile => this.#open.use(new GrowingFile(path.join(folder, name)));
    this.#tables = formats.includes("csv") ? { runs: file(RECORD_TABLES.runs), drills: file(RECORD_TABLES.drills) } : null;
    this.#lines = formats.includes("json") ? { runs: this.#passing(file("runs.json.part")), drills: this.#passing(file("drills.json.part")) } : null;
    this.#tables?.runs.put(csvHead(RUNS));
    this.#tables?.drills.put(csvHead(DRILLS));
  }

  take(population: HeldPopulation): void {
    for (const kind of ["runs", "drills"] as const)
      for (const record of population[kind]) {
        this.#tables?.[kind].put(this.#toRow[kind](record));
        this.#lines?.[kind].put(recordLine(record, this.#isFirst[kind]));
        this.#isFirst[kind] = false;
      }
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
  lines(): RecordLines {
    return { runs: this.#lines?.runs.pieces() ?? [], drills: this.#lines?.drills.pieces() ?? [] };
  }

  [Symbol.dispose](): void {
    this.#open.dispose();
  }

  #passing(growing: GrowingFile): GrowingFile {
    this.#open.defer(() => rmSync(growing.file, { force: true }));
    return growing;
  }
}
