/** Which policy a source has that names none: the one that says it applies to such sources. */
export interface PolicySelector {
  /** All of these labels, with these values. */
  readonly labels: Readonly<Record<string, string>>;
  /** Null: any. */
  readonly tier: string | null;
  readonly dataClass: string | null;
}

export interface SelectedSource {
  readonly labels: Readonly<Record<string, string>>;
  readonly tier: string;
  readonly dataClass: string;
}

function appliesTo(selector: PolicySelector, source: SelectedSource): boolean {
  const { labels, tier, dataClass } = selector;
  return (
    Object.entries(labels).every(([name, value]) => Object.hasOwn(source.labels, name) && source.labels[name] === value) &&
    (tier === null || tier === source.tier) &&
    (dataClass === null || dataClass === source.dataClass)
  );
}

/** The names of all that apply, sorted: one is an answer, none and several are questions to whoever wrote them. */
export function policiesFor(source: SelectedSource, selectors: ReadonlyMap<string, PolicySelector>): string[] {
  return [...selectors].flatMap(([name, selector]) => (appliesTo(selector, source) ? [name] : [])).toSorted();
}
