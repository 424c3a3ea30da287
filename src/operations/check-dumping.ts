import { HoldfastError } from "../errors.ts";
import type { LogicalSource } from "../policy/types.ts";
import { requireClients } from "../postgres/binaries.ts";
import { connect } from "../postgres/connection.ts";
import { readDumpedServer } from "../postgres/dump.ts";
import { majorOf } from "../postgres/server-identity.ts";
import { ok } from "./check-item.ts";
import type { CheckItem } from "./check-item.ts";
import type { Installation } from "./installation.ts";

/** Whether the server answers, has the databases, and there is a `pg_dump` of its version. What the role may not read a dump says, with the table. */
export async function checkDumping(installation: Installation, source: LogicalSource): Promise<CheckItem[]> {
  const items: CheckItem[] = [];
  try {
    await using connection = await connect(await installation.target(source), { purpose: "check" });
    const server = await readDumpedServer(connection.client);
    const major = majorOf(server.version);
    items.push(ok("connection", `PostgreSQL ${major}, cluster ${server.systemIdentifier ?? "unknown"}, databases ${(source.databases ?? server.databases).join(", ")}`));
    const missing = (source.databases ?? []).filter((name) => !server.databases.includes(name));
    if (missing.length > 0) items.push({ name: "databases", outcome: "fail", detail: `the server has no ${missing.join(", ")}`, hint: `it has ${server.databases.join(", ")}` });
    items.push(
      server.isSuperuser
        ? ok("roles", "with their passwords")
        : { name: "roles", outcome: "warning", detail: "the role is no superuser: roles are backed up without their passwords", hint: "after a restore they have to be set anew" },
    );
    const clients = await requireClients(installation.inventory.postgres.binaries, major);
    items.push(ok("pg_dump", `of version ${Math.floor(clients.version / 10_000)}.${clients.version % 10_000} in ${clients.folder}`));
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    items.push({ name: error.code === "HF-BINARIES" ? "pg_dump" : "connection", outcome: "fail", detail: error.message, hint: error.hint });
  }
  return items;
}
