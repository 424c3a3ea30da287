import type { Lsn } from "../domain/lsn.ts";
import { WalChanges } from "../domain/wal-changes.ts";
import { addChangesOf } from "./wal-blocks.ts";
import { mainData } from "./wal-records.ts";
import type { WalRecord } from "./wal-records.ts";

/** `DBASE_CREATE`, or from 15 on `DBASE_CREATE_FILE_COPY` (commands/dbcommands_xlog.h), and the resource manager of it. */
const RMGR_DATABASE = 4;
const COPY_FILES = 0x00;

interface FileCopy {
  readonly database: number;
  readonly from: number;
  /** What was changed anywhere after it. */
  readonly changesSince: WalChanges;
}

/**
 * Databases that came to be by a copy of files while a backup was read. Recovery makes such a copy anew, from the files that the backup has of the model: where these are newer than the copy, what
 * was done to the model since is in the copied database too, and where a database was moved, what is left of the old files replaces the new ones. PostgreSQL's documentation names it as a caveat
 * of continuous archiving; no later WAL puts it right. `CREATE DATABASE` does it before version 15 and with `STRATEGY file_copy`, `ALTER DATABASE … SET TABLESPACE` always.
 */
export class CopiedDatabases {
  readonly #from: Lsn;
  readonly #made: ReadonlySet<number>;
  readonly #copies: FileCopy[] = [];
  #finding: string | null = null;

  /** @param from records that begin earlier are not replayed @param made databases that are there at the end of the backup, and were not at its beginning (or not in the same tablespace) */
  constructor(from: Lsn, made: Iterable<number>) {
    this.#from = from;
    this.#made = new Set(made);
  }

  /** To be called with every record from the start of the backup to its end, in order. */
  visit(record: WalRecord): void {
    if (record.start < this.#from || this.#finding !== null) return;
    for (const { changesSince, database } of this.#copies) {
      const unknown = addChangesOf(record, changesSince);
      if (unknown !== null) this.#finding = `whether what database ${database} was copied from stayed as it was cannot be told: ${unknown}`;
    }
    if (record.rmgr === RMGR_DATABASE && (record.info & 0xf0) === COPY_FILES) this.#copied(mainData(record.bytes));
  }

  /** What would be restored wrong, in a sentence; null: nothing. */
  finding(): string | null {
    if (this.#finding !== null) return this.#finding;
    const changed = this.#copies.find(
      ({ from, changesSince }) => changesSince.databases().some(({ database }) => database === from) || changesSince.forks().some(({ database }) => database === from),
    );
    return changed === undefined ? null : `database ${changed.database} was copied from database ${changed.from}, which was written to afterwards`;
  }

  #copied(data: Buffer): void {
    if (data.length < 16) {
      this.#finding = "a database was copied, and the record of it is too short";
      return;
    }
    const [database, from] = [data.readUInt32LE(0), data.readUInt32LE(8)];
    if (database === from) this.#finding = `database ${database} was moved to another tablespace`;
    else if (this.#made.has(database)) this.#copies.push({ database, from, changesSince: new WalChanges() });
  }
}
