import type { Broken } from "./broken-hints.ts";

/** As in broken-inventories.ts: what a source says that is not of its kind. */
export const KINDS: readonly Broken[] = [
  ["a tree without a path", "kind: postgres\n    connection: env:ORDERS_URL", "kind: files", "11:3 path is missing", "path: /srv/uploads"],
  [
    "a connection of a tree",
    "kind: postgres",
    "kind: files\n    path: /home",
    "14:5 connection is for another kind of source: 'orders' is a tree of files",
    "leave it out; files takes path, exclude, oneFileSystem",
  ],
  [
    "a log of a tree",
    "kind: postgres\n    connection: env:ORDERS_URL",
    "kind: files\n    path: /home",
    "11:3 'orders' is a tree of files, of which there are full, incremental, differential backups only: its policy nightly wants log",
    "give it a policy of its own: policies/files.yaml ships with Holdfast",
  ],
  [
    "a repository in a tree that it protects",
    "kind: postgres\n    connection: env:ORDERS_URL",
    "kind: files\n    path: /srv",
    "4:10 url lies in the files of source 'orders'",
    "a repository must survive the loss of what it protects: put it elsewhere",
  ],
];
