/** When something is due. `every` is aligned to 00:00 UTC (an interval that divides a day always falls on the same times). */
export type Schedule = { readonly kind: "cron"; readonly expression: string; readonly zone: string } | { readonly kind: "every"; readonly seconds: number };
