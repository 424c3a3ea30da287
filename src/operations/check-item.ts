export interface CheckItem {
  readonly name: string;
  readonly outcome: "ok" | "warning" | "fail";
  readonly detail: string;
  readonly hint: string | null;
}

export function ok(name: string, detail: string): CheckItem {
  return { name, outcome: "ok", detail, hint: null };
}
