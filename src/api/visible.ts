import type { FastifyRequest } from "fastify";
import { identityOf } from "../access/gate.ts";
import type { Identity } from "../access/identity.ts";
import { isInScope } from "../domain/access.ts";
import type { Scope } from "../domain/access.ts";
import type { RouteContext } from "./route-context.ts";

/** What routes answer from, as far as the one who asks may see it. */
export interface VisibleContext extends RouteContext {
  readonly identity: Identity;
  /** Names of sources, also of those that are in the history only; null: every one there is or was. */
  readonly names: readonly string[] | null;
}

/** Sources out of the scope are not refused: for whoever asks they do not exist, in lists, in totals and by name. */
export function visibleTo(context: RouteContext, request: FastifyRequest): VisibleContext {
  const identity = identityOf(request);
  const { scope } = identity;
  if (scope === null) return { ...context, identity, names: null };
  const sources = new Map([...context.inventory.sources].filter(([, source]) => isInScope(scope, source)));
  return { ...context, inventory: { ...context.inventory, sources }, identity, names: [...new Set([...sources.keys(), ...plainNames(scope)])] };
}

/** A source that is no longer in the inventory has no labels: it is seen by its name. */
function plainNames(scope: NonNullable<Scope>): string[] {
  return scope.filter((term) => !term.includes("="));
}

export function sees({ names }: VisibleContext, source: string): boolean {
  return names === null || names.includes(source);
}
