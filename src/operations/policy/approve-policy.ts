import type { Identity } from "../../access/identity.ts";
import { HoldfastError } from "../../errors.ts";
import type { PolicyVersion } from "../../catalog/policies.ts";
import { findToken } from "../../catalog/tokens.ts";
import type { Installation } from "../installation.ts";
import { recordEntry } from "../record-run.ts";
import { waitingVersion } from "./settle-policies.ts";

/** Brings the weakening of a policy that waits into force. `identity` is somebody who has proved who they are, never a name that was given; and somebody else than who made the change. */
export async function approvePolicy({ journal }: Pick<Installation, "journal">, { name, identity }: { name: string; identity: Identity }): Promise<PolicyVersion> {
  if (identity.role !== "admin" || identity.scope !== null)
    throw new HoldfastError("HF-HELD", `${identity.name} may not approve policies`, { hint: "that takes a token with the role admin, for all sources" });
  const waiting = waitingVersion(journal, name);
  if (waiting === null) throw new HoldfastError("HF-USAGE", `no change of policy ${JSON.stringify(name)} waits for approval`, { hint: "see 'holdfast policy diff'" });
  if (waiting.by === identity.name) throw new HoldfastError("HF-HELD", `${identity.name} made this change, and somebody else has to approve it`, { hint: "ask another admin" });
  const token = identity.kind === "token" ? findToken(journal.catalog, journal.evidence.writer, identity.id) : null;
  // Whoever made the change may make tokens on this host: one of those, made for the purpose, would be the same person under another name.
  if (token !== null && token.addedBy === waiting.by && token.addedAt >= waiting.at)
    throw new HoldfastError("HF-HELD", `the token ${identity.name} was made by ${waiting.by} after this change, which is theirs`, {
      hint: "approve with a token that somebody had before, or that another person made, or signed in",
    });
  await recordEntry(journal, "policy.approved", {
    name,
    change: waiting.sequence,
    by: identity.name,
    token: identity.id,
    identity: identity.kind,
    tokenAddedBy: token?.addedBy ?? null,
    tokenAddedAt: token?.addedAt ?? null,
  });
  await journal.copyToRepositories();
  return waiting;
}
