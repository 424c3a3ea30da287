import { z } from "zod";
import { HoldfastError } from "../errors.ts";
import { formatLsn, parseLsn } from "../domain/lsn.ts";
import type { Branch } from "../domain/reattachment.ts";
import { isOnBranch } from "../domain/reattachment.ts";
import type { TimelineHistory } from "../domain/timeline.ts";
import { readDocument, writeDocument } from "./document.ts";
import { lsnText, walSegmentBytes } from "./fields.ts";
import { withKind } from "./manifest.ts";
import type { Manifest } from "./manifest.ts";
import type { WalPlace } from "./wal-archive.ts";
import { baseName, keys } from "./layout.ts";
import type { Repository, WritableRepository } from "./repository.ts";

/** What a source is: a name in an inventory is bound to one kind and, where it is a server, to one system identifier, so that another server behind the same address is noticed. */
const boundAt = z.string();
const systemIdentifier = z.string().regex(/^\d{1,20}$/);
/** Since a source was reattached: the timeline it is on, and where that was forked off. */
const branch = z.object({ timeline: z.number().int().min(2), parentTimeline: z.number().int().min(1), forkLsn: lsnText });
export type StoredBranch = z.infer<typeof branch>;
const bindingSchema = z.preprocess(
  withKind,
  z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("postgres"), systemIdentifier, version: z.number(), walSegmentBytes, boundAt, branch: branch.optional() }),
    z.object({ kind: z.literal("postgres-logical"), systemIdentifier: systemIdentifier.nullable(), version: z.number(), boundAt }),
    z.object({ kind: z.literal("files"), boundAt }),
  ]),
);
export type Binding = z.infer<typeof bindingSchema>;
type Unbound<B = Binding> = B extends Binding ? Omit<B, "boundAt"> : never;

/** The system identifier of a source; null for what has none, or does not tell. */
export function systemIdentifierOf(binding: Unbound): string | null {
  return binding.kind === "files" ? null : binding.systemIdentifier;
}

const WHAT = { postgres: "cluster", "postgres-logical": "dumps of databases of server", files: "a tree of files" } as const;

function described(binding: Unbound): string {
  return [WHAT[binding.kind], systemIdentifierOf(binding) ?? ""].join(" ").trim();
}

/** Where nothing ever lies: sources that are no clusters have no WAL. */
const NO_WAL = { systemIdentifier: "0", segmentBytes: 16 << 20 } as const;

/** Where the WAL of a source lies, if it can have any. */
export function walPlaceOf(source: string, binding: Binding): WalPlace {
  return binding.kind === "postgres" ? { source, systemIdentifier: binding.systemIdentifier, segmentBytes: binding.walSegmentBytes } : { source, ...NO_WAL };
}

/** The current binding (the last one), or null for a source that was never written. */
export async function readBinding(repository: Repository, source: string): Promise<Binding | null> {
  return (await readNewestBinding(repository, source))?.binding ?? null;
}

/** As above, with how many there ever were. */
export async function readNewestBinding(repository: Repository, source: string): Promise<{ readonly binding: Binding; readonly count: number } | null> {
  const names = await repository.store.listNames(keys.bindings(source));
  const name = names.at(-1);
  return name === undefined ? null : { binding: await readOne(repository, keys.bindings(source) + name), count: names.length };
}

/** All bindings there ever were, oldest first. */
export async function readBindings(repository: Repository, source: string): Promise<Binding[]> {
  const names = await repository.store.listNames(keys.bindings(source));
  return Promise.all(names.map(async (name) => readOne(repository, keys.bindings(source) + name)));
}

async function readOne(repository: Repository, key: string): Promise<Binding> {
  return (await readDocument(repository, key, "binding", bindingSchema)).payload;
}

/** Whether a backup is of the cluster of a binding; what is of no cluster is of any. */
export function isOfCluster(manifest: Manifest, binding: Binding): boolean {
  return manifest.kind !== "postgres" || manifest.postgres.systemIdentifier === systemIdentifierOf(binding);
}

/** A cluster that a source was bound to before it was bound to another one. */
export type FormerCluster = Extract<Binding, { kind: "postgres" }> & {
  /** When the source was bound to another. */
  readonly until: string;
};

/** The clusters that a source was bound to before, newest first, each once: as it was bound last. What they wrote is kept, and restored from, as long as retention says. */
export function formerClusters(bindings: readonly Binding[]): FormerCluster[] {
  const current = bindings.at(-1);
  const former = new Map<string, FormerCluster>();
  for (const [i, binding] of bindings.entries()) {
    const next = bindings[i + 1];
    if (next === undefined || binding.kind !== "postgres" || systemIdentifierOf(next) === binding.systemIdentifier) continue;
    former.delete(binding.systemIdentifier);
    former.set(binding.systemIdentifier, { ...binding, until: next.boundAt });
  }
  if (current?.kind === "postgres") former.delete(current.systemIdentifier);
  return [...former.values()].toReversed();
}

/** Binds a new source, or rejects if it is bound to something else. */
export async function ensureBound(repository: WritableRepository, source: string, found: Unbound, now: Date): Promise<Binding> {
  for (;;) {
    const bound = await readBinding(repository, source);
    if (bound !== null) {
      if (bound.kind === found.kind && systemIdentifierOf(bound) === systemIdentifierOf(found)) return bound;
      throw new HoldfastError("HF-OTHER-CLUSTER", `${source} is bound to ${described(bound)}, and this is ${described(found)}`, {
        hint: hintFor(source, bound, found),
        facts: { repository: repository.name, bound: systemIdentifierOf(bound), found: systemIdentifierOf(found), boundKind: bound.kind, foundKind: found.kind },
      });
    }
    const binding = { ...found, boundAt: now.toISOString() };
    if ((await writeDocument(repository, keys.binding(source, 1), "binding", binding, repository.signer)) === "created") return binding;
  }
}

function hintFor(source: string, bound: Binding, found: Unbound): string {
  const identifier = systemIdentifierOf(found);
  if (bound.kind !== found.kind || identifier === null) return "check the inventory: another kind of source needs a name of its own";
  return `check the connection; if the cluster was upgraded, or made anew: holdfast source reattach ${source} --cluster ${identifier}`;
}

/** The branch that a source is on since it was reattached; null: it never was. */
export function branchOf(binding: Unbound | null): Branch | null {
  if (binding?.kind !== "postgres" || binding.branch === undefined) return null;
  return { ...binding.branch, forkLsn: parseLsn(binding.branch.forkLsn) };
}

/** Rejects for a server on a timeline that the source has left. */
export function requireBranch(binding: Binding, history: TimelineHistory, repository: string): void {
  const on = branchOf(binding);
  if (on === null || isOnBranch(history, on)) return;
  throw new HoldfastError("HF-DIVERGED", `the server is on timeline ${history.timeline}, which was left at ${formatLsn(on.forkLsn)} for timeline ${on.timeline}`, {
    hint: "an old primary that came back? stop it, or give it a name of its own; if the source moved again, 'holdfast source reattach'",
    facts: { repository, timeline: history.timeline, attached: on.timeline },
  });
}

/** Binds a source that is bound to this cluster to a branch of its history. */
export async function bindBranch(repository: WritableRepository, source: string, { timeline, parentTimeline, forkLsn }: Branch, now: Date): Promise<void> {
  await bindNext(repository, source, (bound) => {
    if (bound?.kind !== "postgres")
      throw new HoldfastError("HF-OTHER-CLUSTER", `${repository.name} holds no cluster under the name ${source}`, { hint: "take a full backup first" });
    return bound.branch?.timeline === timeline ? null : { ...bound, branch: { timeline, parentTimeline, forkLsn: formatLsn(forkLsn) }, boundAt: now.toISOString() };
  });
}

/** Binds a source to another cluster (or server) of its kind: an upgraded one, or one that was made anew. What the one before wrote stays, under its system identifier. True if it was another. */
export async function bindCluster(repository: WritableRepository, source: string, found: Unbound, now: Date): Promise<boolean> {
  return bindNext(repository, source, (bound) => {
    if (bound !== null && bound.kind !== found.kind)
      throw new HoldfastError("HF-OTHER-CLUSTER", `${source} is bound to ${described(bound)}, and this is ${described(found)}`, {
        hint: "another kind of source needs a name of its own",
      });
    return bound !== null && systemIdentifierOf(bound) === systemIdentifierOf(found) ? null : { ...found, boundAt: now.toISOString() };
  });
}

/** Bindings are only added to: the last one counts. `next`: from what it is bound to now; null: nothing is to be changed. */
async function bindNext(repository: WritableRepository, source: string, next: (bound: Binding | null) => Binding | null): Promise<boolean> {
  for (;;) {
    const names = await repository.store.listNames(keys.bindings(source));
    const binding = next(await readBinding(repository, source));
    if (binding === null) return false;
    const number = Number(baseName(names.at(-1) ?? "0")) + 1;
    if ((await writeDocument(repository, keys.binding(source, number), "binding", binding, repository.signer)) === "created") return true;
  }
}
