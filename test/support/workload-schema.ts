/** The two databases of the test workload: every kind of table, index and storage that has its own way of being backed up wrongly. */
export const SHOP = "shop";
export const LEDGER = "ledger";

/** Rows at the start; `scale` multiplies them. */
export const SIZES = { customers: 600, orders: 2500, documents: 60, imports: 1500, accounts: 200, entries: 1200 } as const;

const ORDER_COLUMNS =
  "id bigint not null, customer bigint not null, reference uuid not null, placed timestamptz not null, amount numeric(12,2) not null, status text not null, body text not null";

/** `tablespace`: where the archive lies, if the cluster has a second place. */
export function shopSchema(tablespace: string | null): string[] {
  const elsewhere = tablespace === null ? "" : ` tablespace ${tablespace}`;
  return [
    "create table customers (id bigint primary key, email text not null unique, name text not null, address jsonb not null, tags text[] not null, created timestamptz not null, note text)",
    "create index customers_created on customers (created desc nulls last)",
    "create index customers_lower_name on customers (lower(name))",
    "create index customers_email_hash on customers using hash (email)",
    "create index customers_tags on customers using gin (tags)",
    "create index customers_address on customers using gin (address)",
    `create table orders (${ORDER_COLUMNS}, primary key (id), unique (reference))`,
    "create index orders_customer on orders (customer, placed) include (status)",
    "create index orders_new on orders (placed) where status = 'new'",
    "create index orders_placed_brin on orders using brin (placed) with (pages_per_range = 4)",
    `create table orders_archive (${ORDER_COLUMNS})${elsewhere}`,
    `create unique index orders_archive_id on orders_archive (id)${elsewhere}`,
    `create index orders_archive_status on orders_archive (status text_pattern_ops, amount desc)${elsewhere}`,
    "create table documents (id bigint primary key, title text not null, content text not null, plain text not null, digest text generated always as (md5(content)) stored)",
    "alter table documents alter column plain set storage external",
    "create index documents_digest on documents (digest)",
    "create table imports (id bigint primary key, line text not null, amount numeric not null, note text)",
    "create index imports_amount on imports (amount)",
    "create table counters (id int primary key, value bigint not null default 0, touched timestamptz) with (fillfactor = 50)",
    "insert into counters (id) select generate_series(1, 500)",
    "create unlogged table sessions (id uuid primary key, customer bigint not null, data jsonb not null, seen timestamptz not null)",
    "create index sessions_seen on sessions (seen)",
    "create sequence tickets",
  ];
}

export function ledgerSchema(): string[] {
  return [
    "create table accounts (id bigint primary key, owner text not null, balance numeric(14,2) not null)",
    "create table entries (id bigint not null, account bigint not null, day date not null, amount numeric(14,2) not null, memo text not null, primary key (id, day)) partition by range (day)",
    "create table entries_2024 partition of entries for values from ('2024-01-01') to ('2025-01-01')",
    "create table entries_2025 partition of entries for values from ('2025-01-01') to ('2026-01-01')",
    "create index entries_account on entries (account, day)",
    "create materialized view balances as select account, sum(amount) as balance, count(*) as entries from entries group by account",
    "create unique index balances_account on balances (account)",
    // Only prepared transactions write here: they keep their lock for as long as they live, and must not stop the other actions.
    "create table pending (id bigint primary key, gid text not null, memo text not null)",
    "create table toggled (id bigint primary key, memo text not null)",
  ];
}
