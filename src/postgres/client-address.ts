import { HoldfastError } from "../errors.ts";

/** How a client program reaches a database: what it is told in its arguments, which everybody on the machine can read, and what in its environment. */
export interface ClientAddress {
  readonly dbname: string;
  readonly env: Readonly<Record<string, string>>;
}

/** The same address for `pg_dump` and its like, another database of the same server where one is named. The password goes by the environment. */
export function clientAddress(url: string, database: string | null): ClientAddress {
  // An address without a host (a socket) is none for URL: it gets one for as long as it is looked at.
  const bare = /^(postgres(?:ql)?:\/\/(?:[^@/]*@)?)\//.exec(url);
  const parsed = URL.parse(bare === null ? url : url.replace(bare[1] ?? "", `${bare[1] ?? ""}${NO_HOST}`));
  if (parsed === null) throw new HoldfastError("HF-CONFIG", "the connection is no address of a server", { hint: "postgres://user@host:5432/database" });
  const password = parsed.password === "" ? (parsed.searchParams.get("password") ?? "") : decodeURIComponent(parsed.password);
  parsed.password = "";
  parsed.searchParams.delete("password");
  if (database !== null) parsed.pathname = `/${encodeURIComponent(database)}`;
  const dbname = parsed
    .toString()
    .replace(NO_HOST, "")
    .replace(/^postgres:/, "postgresql:");
  return { dbname, env: { ...(password === "" ? {} : { PGPASSWORD: password }), PGAPPNAME: "holdfast" } };
}

const NO_HOST = "no-host.invalid";
