/** What a source is: a whole cluster, page by page, with its log; databases of a server as `pg_dump` writes them; a tree of files. */
export const SOURCE_KINDS = ["postgres", "postgres-logical", "files"] as const;
export type SourceKind = (typeof SOURCE_KINDS)[number];
