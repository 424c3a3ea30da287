import { SOURCE_KINDS } from "../domain/source-kind.ts";
import type { SourceKind } from "../domain/source-kind.ts";
import { must } from "../errors.ts";
import { SECRET_HINT } from "./fields.ts";
import type { SourceSection } from "./inventory-schema.ts";
import type { LoadedPolicy } from "./load-policy.ts";
import type { Problem } from "./problem.ts";
import { mapAt } from "./references.ts";
import type { ClusterSource, LogicalSource, SecretRef, SourceConfig, TreeSource } from "./types.ts";
import type { YamlFile } from "./yaml-file.ts";

/** What makes a source one of its kind: what it must say of itself, what it may, and what a policy may ask of it. */
interface KindRules {
  readonly is: string;
  readonly needs: readonly string[];
  readonly may: readonly string[];
  readonly backups: readonly string[];
}

const RULES: Readonly<Record<SourceKind, KindRules>> = {
  postgres: { is: "a cluster", needs: ["connection"], may: ["dataDirectory", "heartbeat", "bandwidth"], backups: ["full", "incremental", "differential", "log"] },
  "postgres-logical": { is: "databases by pg_dump", needs: ["connection"], may: ["databases"], backups: ["full"] },
  files: { is: "a tree of files", needs: ["path"], may: ["exclude", "oneFileSystem"], backups: ["full", "incremental", "differential"] },
};
const OF_A_KIND = new Set(Object.values(RULES).flatMap(({ needs, may }) => [...needs, ...may]));

/** Whether there is a log of what changes between backups. */
export function hasLog(kind: SourceKind): boolean {
  return RULES[kind].backups.includes("log");
}

function kindAt(inventory: YamlFile, name: string): SourceKind | null {
  const { kind = "postgres" } = mapAt(inventory.value, ["sources", name]);
  return SOURCE_KINDS.find((known) => known === kind) ?? null;
}

/** What a source lacks for its kind, and what only another kind has. */
export function sourceKindProblems(inventory: YamlFile): Problem[] {
  return Object.entries(mapAt(inventory.value, ["sources"])).flatMap(([name, written]) => {
    const kind = kindAt(inventory, name);
    if (kind === null || typeof written !== "object" || written === null || Array.isArray(written)) return [];
    const { is, needs, may } = RULES[kind];
    const { file, line, column } = inventory.findKey(["sources", name]);
    const missing = needs.filter((key) => !Object.hasOwn(written, key));
    const stray = Object.keys(written).filter((key) => OF_A_KIND.has(key) && ![...needs, ...may].includes(key));
    return [
      ...missing.map((key) => ({
        file,
        line,
        column,
        message: `${key} is missing`,
        hint: key === "path" ? "path: /srv/uploads" : SECRET_HINT,
      })),
      ...stray.map((key) => {
        const at = inventory.findKey(["sources", name, key]);
        return {
          file: at.file,
          line: at.line,
          column: at.column,
          message: `${key} is for another kind of source: '${name}' is ${is}`,
          hint: `leave it out; ${kind} takes ${[...needs, ...may].join(", ")}`,
        };
      }),
    ];
  });
}

/** A policy that asks of a source what nobody can do would look as if it were held. */
export function policyKindProblems(inventory: YamlFile, bySource: ReadonlyMap<string, LoadedPolicy>): Problem[] {
  return [...bySource].flatMap(([name, { policy }]) => {
    const kind = kindAt(inventory, name);
    if (kind === null) return [];
    const { is, backups } = RULES[kind];
    const wanted = [...policy.backups.keys(), ...(policy.log === null ? [] : ["log"])];
    const impossible = wanted.filter((type) => !backups.includes(type));
    const { file, line, column } = inventory.findKey(["sources", name]);
    const at = { file, line, column };
    const sql = kind === "files" ? policy.drills?.checks.find((check) => check.kind === "sql") : undefined;
    return [
      ...(impossible.length === 0
        ? []
        : [
            {
              ...at,
              message: `'${name}' is ${is}, of which there are ${backups.join(", ")} backups only: its policy ${policy.name} wants ${impossible.join(", ")}`,
              hint: `give it a policy of its own: policies/${kind === "files" ? "files" : "logical"}.yaml ships with Holdfast`,
            },
          ]),
      ...(sql === undefined
        ? []
        : [
            {
              ...at,
              message: `'${name}' is ${is}: its policy ${policy.name} wants a drill to ask a database (${sql.name})`,
              hint: "check a tree with a command: its folder is in HOLDFAST_DRILL_FOLDER",
            },
          ]),
    ];
  });
}

type WithoutPolicy<S> = S extends SourceConfig ? Omit<S, "policy" | "objectives"> : never;
export type UnboundSource = WithoutPolicy<SourceConfig>;

/** A source as it is written, by its kind. */
export function sourceOf(name: string, section: SourceSection): UnboundSource {
  const { tier, dataClass, heartbeat, bandwidth, labels } = section;
  const basics = { name, tier, dataClass, heartbeat, bandwidth, labels };
  const connection = (): SecretRef => must(section.connection, "the connection of a source");
  switch (section.kind) {
    case "postgres":
      return { ...basics, kind: "postgres", connection: connection(), dataDirectory: section.dataDirectory ?? null } satisfies WithoutPolicy<ClusterSource>;
    case "postgres-logical":
      return { ...basics, kind: "postgres-logical", connection: connection(), databases: section.databases ?? null } satisfies WithoutPolicy<LogicalSource>;
    case "files":
      return {
        ...basics,
        kind: "files",
        path: must(section.path, "the path of a tree"),
        exclude: section.exclude ?? [],
        oneFileSystem: section.oneFileSystem ?? false,
      } satisfies WithoutPolicy<TreeSource>;
  }
}
