import type { Catalog, SqlRow, SqlValue } from "./catalog.ts";
import { textOf, textOrNull } from "./catalog.ts";

/**
 * What somebody asked for through the API and the scheduler takes up beside what is due. A queue, not a record: whoever asked, and what came of it, is on record with the run. So a catalog that
 * is lost loses only what had not begun yet.
 */
export const COMMAND_KINDS = ["backup", "verify", "drill", "expire"] as const;
type CommandKind = (typeof COMMAND_KINDS)[number];

/** `queued` until its run is on record, then as the run. */
export const COMMAND_STATES = ["queued", "running", "succeeded", "failed", "cancelled", "interrupted"] as const;
export type CommandState = (typeof COMMAND_STATES)[number];

/** What a command asks for, as its command line would: `{ "type": "full" }` for a backup. Checked by whoever takes it in, and again by the job. */
export type CommandArgs = Readonly<Record<string, string | number | boolean | null>>;

export interface CommandRequest {
  /** Also the id of its run: so its address can be given out before there is one. Made by `newRunId`. */
  readonly id: string;
  readonly kind: CommandKind;
  readonly source: string;
  readonly args: CommandArgs;
  /** Of the one who asks: the same key from the same person is the same command. */
  readonly idempotencyKey: string;
  /** Name of a token, never the token. */
  readonly requestedBy: string;
  readonly requestedAt: Date;
}

export interface Command extends Omit<CommandRequest, "requestedAt"> {
  readonly requestedAt: string;
  readonly state: CommandState;
  /** Why it ended as it did; null while it has not, and where there is nothing to say. */
  readonly reason: string | null;
  readonly endedAt: string | null;
}

export type Submission =
  | { readonly kind: "new" | "same"; readonly command: Command }
  /** The key was used before, for something else. */
  | { readonly kind: "conflict"; readonly command: Command };

/** Ended commands are kept this long, so that a client that was cut off can ask again; their runs stay. */
const KEEP_ENDED_DAYS = 30;
/** A queue that grows beyond this is not being worked off, and more would not help. */
export const MOST_QUEUED = 1000;

/** Puts a command into the queue, or finds the one that the same person put there under the same key. Null: the queue is full. */
export function submitCommand(catalog: Catalog, request: CommandRequest): Submission | null {
  return catalog.transaction(() => {
    const { requestedBy, idempotencyKey } = request;
    const [known] = select(catalog, "requested_by = :requestedBy and idempotency_key = :idempotencyKey", { requestedBy, idempotencyKey });
    if (known !== undefined) return { kind: asksTheSame(known, request) ? "same" : "conflict", command: known };
    if (countQueued(catalog) >= MOST_QUEUED) return null;
    catalog.run(
      `insert into commands (id, kind, source, args, idempotency_key, requested_by, requested_at, state)
       values (:id, :kind, :source, :args, :idempotencyKey, :requestedBy, :requestedAt, 'queued')`,
      { ...request, args: canonical(request.args), requestedAt: request.requestedAt.toISOString() },
    );
    forgetEnded(catalog, request.requestedAt);
    const [command] = select(catalog, "id = :id", { id: request.id });
    if (command === undefined) throw new Error("a command that was just written is not there");
    return { kind: "new", command };
  });
}

export function findCommand(catalog: Catalog, id: string): Command | null {
  return select(catalog, "id = :id", { id })[0] ?? null;
}

/** What waits to be taken up, oldest first. */
export function queuedCommands(catalog: Catalog): Command[] {
  return select(catalog, "state = 'queued'", {});
}

/** Its run began: from here on it is not taken up again. Commands without a run of that id are left alone. */
export function commandBegan(catalog: Catalog, runId: string): void {
  catalog.run("update commands set state = 'running' where id = :runId and state = 'queued'", { runId });
}

/** Its run ended; or it could not begin, and will not be tried again. */
export function commandEnded(catalog: Catalog, runId: string, end: { state: Exclude<CommandState, "queued" | "running">; reason: string | null; at: string }): void {
  catalog.run("update commands set state = :state, reason = :reason, ended_at = :at where id = :runId and state in ('queued', 'running')", { runId, ...end });
}

function select(catalog: Catalog, where: string, values: Record<string, SqlValue>): Command[] {
  return catalog.all(`select * from commands where ${where} order by requested_at, id limit ${MOST_QUEUED}`, values).map(commandOf);
}

function countQueued(catalog: Catalog): number {
  return Number(catalog.all("select count(*) as count from commands where state = 'queued'")[0]?.["count"] ?? 0);
}

function forgetEnded(catalog: Catalog, now: Date): void {
  catalog.run("delete from commands where ended_at < :before", { before: new Date(now.getTime() - KEEP_ENDED_DAYS * 86_400_000).toISOString() });
}

function asksTheSame(known: Command, request: CommandRequest): boolean {
  return known.kind === request.kind && known.source === request.source && canonical(known.args) === canonical(request.args);
}

/** The same arguments in any order are the same text. */
function canonical(args: CommandArgs): string {
  return JSON.stringify(Object.fromEntries(Object.entries(args).toSorted(([a], [b]) => (a < b ? -1 : 1))));
}

function commandOf(row: SqlRow): Command {
  return {
    id: textOf(row, "id"),
    kind: textOf(row, "kind") as CommandKind,
    source: textOf(row, "source"),
    args: JSON.parse(textOf(row, "args")) as CommandArgs,
    idempotencyKey: textOf(row, "idempotency_key"),
    requestedBy: textOf(row, "requested_by"),
    requestedAt: textOf(row, "requested_at"),
    state: textOf(row, "state") as CommandState,
    reason: textOrNull(row, "reason"),
    endedAt: textOrNull(row, "ended_at"),
  };
}
