/**
 * What is kept in the catalog of a run's figures once nobody looks at it by itself any more: which copies it reached, which backup it made, how it was judged. The whole is in the evidence for ever.
 * Everything that reports count is in here, so that a report about last year says the same as it did then.
 */
export function briefFigures(operation: string, figures: object): object {
  const facts = new Map<string, unknown>(Object.entries(figures));
  const pick = (...names: readonly string[]): Record<string, unknown> => Object.fromEntries(names.filter((name) => facts.has(name)).map((name) => [name, facts.get(name)]));
  switch (operation) {
    case "backup":
      return { ...pick("id", "type", "sourceBytes", "storedBytes", "durationSeconds"), copies: listOf(facts.get("copies")).map((copy) => partOf(copy, ["repository", "state"])) };
    case "verify":
      return {
        ...pick("ok", "tier", "objects", "bytes", "repositories", "notReached"),
        damage: listOf(facts.get("damage")).map((damage) => partOf(damage, ["repository", "object", "kind"])),
      };
    case "expire":
      return {
        ...pick("dryRun", "notReached"),
        repositories: listOf(facts.get("repositories")).map((copy) => partOf(copy, ["repository", "kept", "walKeptFrom", "removedObjects", "removedBytes"])),
      };
    default:
      return figures;
  }
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function partOf(value: unknown, names: readonly string[]): unknown {
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).filter(([name]) => names.includes(name)));
}
