/**
 * What is kept in the catalog of a run's figures once nobody looks at it by itself any more: which copies it reached, which backup it made, how it was judged. The whole is in the evidence for ever.
 * Everything that reports count is in here, so that a report about last year says the same as it did then.
 */
export function briefFigures(operation: string, figures: object): object {
  switch (operation) {
    case "backup":
      return { ...pick(figures, ["id", "type", "sourceBytes", "storedBytes", "durationSeconds"]), copies: partsOf(figures, "copies", ["repository", "state"]) };
    case "verify":
      return { ...pick(figures, ["ok", "tier", "objects", "bytes", "repositories", "notReached"]), damage: partsOf(figures, "damage", ["repository", "object", "kind"]) };
    case "expire":
      return {
        ...pick(figures, ["dryRun", "notReached"]),
        repositories: partsOf(figures, "repositories", ["repository", "kept", "walKeptFrom", "removedObjects", "removedBytes"]),
      };
    default:
      return figures;
  }
}

/** Of each element of a list only these; none where there is no list. */
function partsOf(figures: object, list: string, names: readonly string[]): unknown[] {
  const elements = pick(figures, [list])[list];
  return Array.isArray(elements) ? elements.map((element: unknown) => (typeof element === "object" && element !== null ? pick(element, names) : element)) : [];
}

function pick(of: object, names: readonly string[]): Record<string, unknown> {
  const picked: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(of)) if (names.includes(name)) picked[name] = value;
  return picked;
}
