import { lastExpiredIn } from "../catalog/alert-queries.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { firstSuccess } from "../catalog/runs.ts";
import type { LockFact } from "../domain/alert-facts.ts";
import { copiesOf } from "../domain/compliance.ts";
import type { ReportSource } from "../domain/compliance.ts";

/** When locks were last looked after, of every copy in a place of locks that holds something. `marginOf`: a repository, in seconds, null where nothing is locked. */
export function readLockFacts(catalog: Catalog, sources: Iterable<ReportSource>, marginOf: (repository: string) => number | null): LockFact[] {
  return [...sources].flatMap((source) => {
    const copies = copiesOf(source).flatMap((repository) => {
      const marginSeconds = marginOf(repository);
      return marginSeconds === null ? [] : [{ repository, marginSeconds }];
    });
    const since = copies.length === 0 ? null : firstSuccess(catalog, source.name, "backup");
    if (since === null) return [];
    return copies.map((copy) => ({
      source: source.name,
      ...copy,
      since: since.toISOString(),
      renewedAt: lastExpiredIn(catalog, { source: source.name, repository: copy.repository }),
    }));
  });
}
