import { z } from "zod";
import { HoldfastError } from "../errors.ts";
import { readDocument, writeDocument } from "./document.ts";
import { walSegmentBytes } from "./fields.ts";
import { keys } from "./layout.ts";
import type { Repository, WritableRepository } from "./repository.ts";

/** Which cluster a source is: a name in an inventory is bound to one system identifier, so that another server behind the same address is noticed. */
const bindingSchema = z.object({
  systemIdentifier: z.string().regex(/^\d{1,20}$/),
  version: z.number(),
  walSegmentBytes,
  boundAt: z.string(),
});
export type Binding = z.infer<typeof bindingSchema>;

/** The current binding (the last one), or null for a source that was never written. */
export async function readBinding(repository: Repository, source: string): Promise<Binding | null> {
  const name = (await repository.store.listNames(keys.bindings(source))).at(-1);
  return name === undefined ? null : (await readDocument(repository, keys.bindings(source) + name, "binding", bindingSchema)).payload;
}

/** Binds a new source, or rejects if it is bound to another cluster. */
export async function ensureBound(repository: WritableRepository, source: string, cluster: Omit<Binding, "boundAt">, now: Date): Promise<Binding> {
  for (;;) {
    const bound = await readBinding(repository, source);
    if (bound !== null) {
      if (bound.systemIdentifier === cluster.systemIdentifier) return bound;
      throw new HoldfastError("HF-OTHER-CLUSTER", `${source} is bound to cluster ${bound.systemIdentifier}, and the server is ${cluster.systemIdentifier}`, {
        hint: "check the connection; a new or upgraded cluster needs a source name of its own",
        facts: { repository: repository.name, bound: bound.systemIdentifier, found: cluster.systemIdentifier },
      });
    }
    const binding = { ...cluster, boundAt: now.toISOString() };
    if ((await writeDocument(repository, keys.binding(source, 1), "binding", binding, repository.signer)) === "created") return binding;
  }
}
