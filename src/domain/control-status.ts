import type { ControlDefinition, RuleName } from "./control-map.ts";

/** How well the evidence supports a control. `not_evidenced`: nothing shows it, which is never the same as not applicable; that takes an approved reason. */
export const CONTROL_STATUSES = ["effective", "effective_with_exceptions", "deficient", "not_evidenced", "not_applicable"] as const;
export type ControlStatus = (typeof CONTROL_STATUSES)[number];

/** What one rule says about one source. */
export interface RuleResult {
  readonly rule: RuleName;
  readonly status: ControlStatus;
  /** How many records it looked at. None is always `not_evidenced`. */
  readonly rows: number;
  readonly reason: string;
}

/** A control of a framework, and what the evidence of all sources in scope says about it. */
export interface ControlResult extends ControlDefinition {
  readonly status: ControlStatus;
  /** One per source and rule, the worst first. */
  readonly bySource: readonly { readonly source: string; readonly rule: RuleName; readonly status: ControlStatus; readonly rows: number; readonly reason: string }[];
}

const WORST_FIRST: readonly ControlStatus[] = ["deficient", "not_evidenced", "effective_with_exceptions", "effective", "not_applicable"];

/** The worst of several; of none, `not_evidenced`. */
export function worstStatus(statuses: readonly ControlStatus[]): ControlStatus {
  return WORST_FIRST.find((status) => statuses.includes(status)) ?? "not_evidenced";
}

/** For sorting, the worst first. */
export function compareStatus(a: ControlStatus, b: ControlStatus): number {
  return WORST_FIRST.indexOf(a) - WORST_FIRST.indexOf(b);
}

/** The control matrix: each control takes the worst of its rules over all sources. */
export function evaluateControls(controls: readonly ControlDefinition[], sources: readonly { readonly name: string; readonly rules: readonly RuleResult[] }[]): ControlResult[] {
  return controls.map((control) => {
    const bySource = sources
      .flatMap(({ name, rules }) =>
        rules.filter(({ rule }) => control.rules.includes(rule)).map(({ rule, status, rows, reason }) => ({ source: name, rule, status, rows, reason })),
      )
      .toSorted((a, b) => compareStatus(a.status, b.status));
    return { ...control, status: worstStatus(bySource.map(({ status }) => status)), bySource };
  });
}
