/** Who may do what: roles, what each may do, and the sources they may do it with. Pure; who somebody *is* is found out in `src/access`. */
export const ROLES = ["viewer", "auditor", "operator", "admin", "metrics"] as const;
export type Role = (typeof ROLES)[number];

/** Names of sources, and `label=value` for all that carry the label; null: every source. */
export type Scope = readonly string[] | null;

/** What can be asked of Holdfast, and the roles that may ask it. */
const ABILITIES = {
  /** Figures for Prometheus. */
  measure: ["metrics", "viewer", "auditor", "operator", "admin"],
  /** How everything stands, and what was done. */
  look: ["viewer", "auditor", "operator", "admin"],
  /** Who did what, and the evidence of it. */
  audit: ["auditor", "admin"],
  /** Start work, pause it, acknowledge alerts. */
  operate: ["operator", "admin"],
  /** Put rules in force. */
  govern: ["admin"],
} as const satisfies Readonly<Record<string, readonly Role[]>>;

export type Ability = keyof typeof ABILITIES;

export function mayDo(role: Role, ability: Ability): boolean {
  return ABILITIES[ability].some((able) => able === role);
}

interface LabelledSource {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export function isRole(text: string): text is Role {
  return ROLES.some((role) => role === text);
}

const SCOPE_TERM = /^(?:[a-z0-9][a-z0-9_.-]{0,62}|[A-Za-z_][A-Za-z0-9_]{0,62}=[^,\p{Cc}]{1,200})$/u;

/** The scope in `orders,team=payments`; null where a term is neither a name nor a label. */
export function parseScope(text: string): readonly string[] | null {
  const terms = text.split(",").map((term) => term.trim());
  return terms.every((term) => SCOPE_TERM.test(term)) ? [...new Set(terms)] : null;
}

/** True where any term of the scope names the source or a label it carries. A source of which nothing is known any more is seen by its name only. */
export function isInScope(scope: Scope, { name, labels }: LabelledSource): boolean {
  return scope === null || scope.some((term) => term === name || isLabelOf(term, labels));
}

function isLabelOf(term: string, labels: LabelledSource["labels"]): boolean {
  const at = term.indexOf("=");
  if (at < 0) return false;
  const label = term.slice(0, at);
  return Object.hasOwn(labels, label) && labels[label] === term.slice(at + 1);
}
