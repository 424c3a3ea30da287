import type { z } from "zod";
import { suggest } from "./nearest.ts";
import type { Problem } from "./problem.ts";
import type { KeyPath, YamlFile } from "./yaml-file.ts";

/** What the schema refused, said with the place in the file. The messages themselves are written beside the schemas (`says` in fields.ts). */
export function schemaProblems(yaml: YamlFile, issues: readonly z.core.$ZodIssue[]): Problem[] {
  return issues.flatMap((issue) => {
    const path = issue.path.map((step) => (typeof step === "symbol" ? String(step) : step));
    const [message = "", hint = null] = issue.message.split("\n");
    if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownKey(yaml, [...path, key], (hint ?? "").split(" ")));
    if (issue.code === "invalid_key") return [{ ...yaml.findKey(path), message: `${quote(path.at(-1)) ?? "this"} ${message}`, hint }];
    return [refused(yaml, path, { message, hint })];
  });
}

function unknownKey(yaml: YamlFile, path: KeyPath, known: readonly string[]): Problem {
  const key = String(path.at(-1));
  const quoted = quote(key);
  return { ...yaml.findKey(path), message: quoted === null ? "unknown key" : `unknown key ${quoted}`, hint: suggest(key, known) };
}

function refused(yaml: YamlFile, path: KeyPath, { message, hint }: { message: string; hint: string | null }): Problem {
  const { state, key, ...place } = yaml.find(path);
  const text = { present: message, missing: "is missing", empty: "has no value" }[state];
  return { ...place, message: `${key} ${text}`, hint };
}

/** Keys are quoted only where they look like keys: somebody may have pasted a secret one line too far. */
function quote(key: string | number | undefined): string | null {
  return typeof key === "string" && /^[A-Za-z][A-Za-z0-9_.-]{0,40}$/.test(key) ? `'${key}'` : null;
}
