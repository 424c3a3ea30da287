import { fileURLToPath } from "node:url";
import { BACKUP_TYPES } from "../domain/backup-id.ts";
import { isName } from "./fields.ts";
import { S3_SETTINGS } from "./inventory-schema.ts";
import { suggest } from "./nearest.ts";
import type { Problem } from "./problem.ts";
import type { KeyPath, YamlFile } from "./yaml-file.ts";

/**
 * What one part of the configuration says about another: names that must exist, folders that must not lie in each other.
 * Works on the values as read, of which anything may be wrong, so that these problems are shown together with those of the schema.
 */

/** Where a source names its policy. */
export interface SourcePolicy {
  readonly source: string;
  readonly policy: string;
}

export function sourcePolicies(inventory: YamlFile): SourcePolicy[] {
  return Object.keys(mapAt(inventory.value, ["sources"])).flatMap((source) => {
    const policy = valueAt(inventory.value, ["sources", source, "policy"]);
    return isName(policy) ? [{ source, policy }] : [];
  });
}

/** Policies that sources name and nobody wrote. */
export function policyProblems(inventory: YamlFile, wanted: readonly SourcePolicy[], available: readonly string[]): Problem[] {
  const missing = wanted.filter(({ policy }) => !available.includes(policy));
  return missing.map(({ source, policy }) => {
    const hint = available.length === 0 ? "there is no policies/*.yaml beside this file: copy the ones that ship with Holdfast there" : suggest(policy, available);
    return problem(inventory, ["sources", source, "policy"], `there is no policies/${policy}.yaml beside this file`, hint);
  });
}

/** Policies are found by their file: a name that differs would be one that nobody can use. */
export function policyNameProblems(policy: YamlFile, fileName: string): Problem[] {
  const name = valueAt(policy.value, ["name"]);
  if (!isName(name) || fileName === `${name}.yaml`) return [];
  return [problem(policy, ["name"], "name must be that of the file", `rename the file to ${name}.yaml, or write the name of the file here`)];
}

/** Names in a policy that are no repositories of the inventory. */
export function unknownRepositories(policy: YamlFile, inventory: YamlFile): Problem[] {
  const known = repositoryNames(inventory);
  return [...BACKUP_TYPES, "log"].flatMap((type) => {
    const path = ["backups", type, "repositories"];
    const names = valueAt(policy.value, path);
    if (!Array.isArray(names)) return [];
    return names.flatMap((name: unknown, i) =>
      isName(name) && !known.includes(name) ? [problem(policy, [...path, i], `the inventory has no repository '${name}'`, suggest(name, known))] : [],
    );
  });
}

/** Repositories that are not one each, or lie in what they protect. */
export function repositoryProblems(inventory: YamlFile): Problem[] {
  const repositories = Object.keys(mapAt(inventory.value, ["repositories"])).flatMap((name) => {
    const { url, endpoint } = mapAt(inventory.value, ["repositories", name]);
    const folder = folderOf(url) ?? bucketOf(url, endpoint);
    return folder === null ? [] : [{ name, folder }];
  });
  const sources = Object.keys(mapAt(inventory.value, ["sources"])).flatMap((name) => {
    const { dataDirectory, path } = mapAt(inventory.value, ["sources", name]);
    return [dataDirectory, path].flatMap((folder) => (typeof folder === "string" ? [{ name, folder: bare(folder) }] : []));
  });
  const problems: Problem[] = [];
  for (const [i, { name, folder }] of repositories.entries()) {
    const path = ["repositories", name, "url"];
    const twin = repositories.slice(0, i).find((other) => isWithin(folder, other.folder) || isWithin(other.folder, folder));
    const source = sources.find((other) => isWithin(folder, other.folder));
    if (twin !== undefined)
      problems.push(problem(inventory, path, `url is in the same place as repository '${twin.name}'`, "two copies in one place are lost together: give each a folder of its own"));
    if (source !== undefined)
      problems.push(problem(inventory, path, `url lies in the files of source '${source.name}'`, "a repository must survive the loss of what it protects: put it elsewhere"));
  }
  return problems;
}

/** A second place for evidence that is lost together with the first would be none. */
export function secondPlaceProblems(inventory: YamlFile): Problem[] {
  const path = ["evidence", "second", "url"];
  const { url, endpoint } = mapAt(inventory.value, ["evidence", "second"]);
  const place = folderOf(url) ?? bucketOf(url, endpoint);
  if (place === null) return [];
  const twin = Object.entries(mapAt(inventory.value, ["repositories"])).find(([name]) => {
    const other = mapAt(inventory.value, ["repositories", name]);
    const folder = folderOf(other["url"]) ?? bucketOf(other["url"], other["endpoint"]);
    return folder !== null && (isWithin(place, folder) || isWithin(folder, place));
  });
  const stray = typeof url === "string" && !url.startsWith("s3://") ? Object.keys(mapAt(inventory.value, ["evidence", "second"])).filter((key) => S3_SETTINGS.includes(key)) : [];
  return [
    ...(twin === undefined
      ? []
      : [problem(inventory, path, `url is in the same place as repository '${twin[0]}'`, "what cuts off the evidence there would cut it off here: give it a place of its own")]),
    ...stray.map((key) => problem(inventory, ["evidence", "second", key], `${key} is for a place in a bucket`, "leave it out, or write url: s3://bucket/prefix")),
  ];
}

/** Settings of a place in a bucket, on a repository that is not in one: nothing would heed them. */
export function strayS3Settings(inventory: YamlFile): Problem[] {
  return Object.keys(mapAt(inventory.value, ["repositories"])).flatMap((name) => {
    const written = mapAt(inventory.value, ["repositories", name]);
    if (typeof written["url"] !== "string" || written["url"].startsWith("s3://")) return [];
    const stray = Object.keys(written).filter((key) => S3_SETTINGS.includes(key));
    return stray.map((key) => problem(inventory, ["repositories", name, key], `${key} is for repositories in a bucket`, "leave it out, or write url: s3://bucket/prefix"));
  });
}

/** Limits of repositories that are not there. */
export function strayLimits(inventory: YamlFile): Problem[] {
  const known = repositoryNames(inventory);
  const path = ["limits", "repositories"];
  const strays = Object.keys(mapAt(inventory.value, path)).filter((name) => isName(name) && !known.includes(name));
  return strays.map((name) => {
    const { file, line, column } = inventory.findKey([...path, name]);
    return { file, line, column, message: `the inventory has no repository '${name}'`, hint: suggest(name, known) };
  });
}

function repositoryNames(inventory: YamlFile): string[] {
  return Object.keys(mapAt(inventory.value, ["repositories"])).filter(isName);
}

/** A repository is opened with its passphrase, or only written to with its recipient: one of the two. */
export function encryptionProblems(inventory: YamlFile): Problem[] {
  return Object.keys(mapAt(inventory.value, ["repositories"])).flatMap((name) => {
    const path = ["repositories", name, "encryption"];
    const written = valueAt(inventory.value, path);
    if (typeof written !== "object" || written === null || "passphrase" in written !== "recipient" in written) return [];
    return "passphrase" in written
      ? [problem(inventory, [...path, "recipient"], "recipient is for hosts that hold no passphrase", "leave out one of the two")]
      : [problem(inventory, path, "encryption must name a passphrase or a recipient", "{ passphrase: env:NAME }, or { recipient: age1… } for a host that only writes")];
  });
}

/** As if it were a folder: two prefixes in one bucket can lie in each other, too. */
function bucketOf(url: unknown, endpoint: unknown): string | null {
  return typeof url === "string" && url.startsWith("s3://") ? bare(`${typeof endpoint === "string" ? endpoint : ""}/${url}`) : null;
}

function folderOf(url: unknown): string | null {
  if (typeof url !== "string" || !url.startsWith("file:///") || !URL.canParse(url)) return null;
  try {
    return bare(fileURLToPath(url));
  } catch {
    return null;
  }
}

function bare(folder: string): string {
  return folder.replaceAll(/\/+/g, "/").replace(/\/$/, "");
}

function isWithin(folder: string, outer: string): boolean {
  return folder === outer || folder.startsWith(`${outer}/`);
}

function problem(yaml: YamlFile, path: KeyPath, message: string, hint: string): Problem {
  const { file, line, column } = yaml.find(path);
  return { file, line, column, message, hint };
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  let at = value;
  for (const key of path) at = isMap(at) && Object.hasOwn(at, key) ? at[key] : undefined;
  return at;
}

export function mapAt(value: unknown, path: readonly string[]): Readonly<Record<string, unknown>> {
  const found = valueAt(value, path);
  return isMap(found) ? found : {};
}

export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
