import { connect, queryRow, text } from "../postgres/connection.ts";
import { readCommitWait } from "../postgres/synchronous-standbys.ts";
import type { CheckItem } from "./check-item.ts";
import type { SourceTarget } from "./source-target.ts";

const NAME = "synchronous commits";

/** What it means that commits of the server wait for our stream, where they do: no commit is lost, and none is made while we are away. */
export async function checkSynchronous(target: SourceTarget): Promise<CheckItem[]> {
  // As the stream connects: the address may give it another name than ours.
  await using connection = await connect(target, { purpose: "wal" });
  const wait = await readCommitWait(connection.client);
  if (wait === "none") return [];
  const level = text(await queryRow(connection.client, "select current_setting('synchronous_commit') as level"), "level");
  // We replay nothing and never say that we did: such commits would wait for ever.
  if (level === "remote_apply")
    return [
      {
        name: NAME,
        outcome: "fail",
        detail: "synchronous_commit is remote_apply with holdfast among the synchronous standbys: commits would wait for ever",
        hint: "use synchronous_commit = on, or take holdfast out of synchronous_standby_names",
      },
    ];
  if (wait === "with-others") return [{ name: NAME, outcome: "ok", detail: "wait until they are durable with holdfast, or with another that is named", hint: null }];
  return [
    {
      name: NAME,
      outcome: "warning",
      detail: "wait until they are durable with holdfast: none is lost with the server, and while holdfast or its first repository is away, every commit stops",
      hint: "name another standby beside it (synchronous_standby_names = 'ANY 1 (\"holdfast wal\", …)'), or accept it and page on the alert for exposure",
    },
  ];
}
