import type { z } from "zod";
import { alertingShape } from "./channel-fields.ts";
import {
  absolutePathField,
  choiceField,
  durationField,
  endpointField,
  field,
  flagField,
  labelSection,
  listOf,
  nameField,
  namedMap,
  pathField,
  recipientField,
  regionField,
  repositoryUrlField,
  secretField,
  secretOrCommandField,
  section,
  sizeField,
  storageClassField,
  textValue,
  versionField,
} from "./fields.ts";
import { apiSection } from "./api-section.ts";
import { bandwidthField, limitsSection } from "./limit-fields.ts";
import { SOURCE_KINDS } from "../domain/source-kind.ts";
import { DATA_CLASSES, TIERS } from "./types.ts";
import type { DataClass, Tier } from "./types.ts";

/** The inventory file as it is written: names not looked up, paths not resolved. Defaults are written here and nowhere else. */

/** An expiry a day makes locks longer in time, also if one of them fails. */
const DEFAULT_MARGIN_SECONDS = 2 * 86_400;
const DEFAULT_EVIDENCE_SECONDS = 365 * 86_400;
const DEFAULT_STAMP_SECONDS = 3600;

/** What an address `s3://…` does not say. References.ts refuses them for others. */
const s3Settings = {
  region: regionField.optional(),
  endpoint: endpointField.optional(),
  pathStyle: flagField.optional(),
  credentials: section({ accessKeyId: secretField, secretAccessKey: secretField, sessionToken: secretField.optional() }).optional(),
  serverSideEncryption: section({ algorithm: choiceField(["AES256", "aws:kms"]), key: textValue.optional() }).optional(),
  storageClass: storageClassField.optional(),
  objectLock: section({
    mode: choiceField(["governance", "compliance"]),
    margin: durationField.default(DEFAULT_MARGIN_SECONDS),
    evidence: durationField.default(DEFAULT_EVIDENCE_SECONDS),
  }).optional(),
};

export const S3_SETTINGS: readonly string[] = Object.keys(s3Settings);

const repositorySection = section({
  url: repositoryUrlField,
  site: nameField.optional(),
  class: nameField.optional(),
  // One of the two: references.ts says so.
  encryption: section({ passphrase: secretOrCommandField.optional(), recipient: recipientField.optional() }),
  bandwidth: listOf(bandwidthField, '[{ daily: "08:00-18:00", rate: 50MB/s }]').default([]),
  maxBytes: sizeField.optional(),
  ...s3Settings,
});

/** Where evidence goes besides the repositories, and who says when it was there. */
const evidenceSection = section({
  timestamps: section({ authority: endpointField, certificates: pathField, every: durationField.default(DEFAULT_STAMP_SECONDS) }).optional(),
  second: section({ url: repositoryUrlField, ...s3Settings }).optional(),
});

/** Of a source that says nothing of it. */
export const DEFAULT_TIER: Tier = "standard";
export const DEFAULT_DATA_CLASS: DataClass = "application";

const sourceSection = section({
  kind: choiceField(SOURCE_KINDS).default("postgres"),
  // What each kind has, and what it must have: source-kinds.ts says so.
  connection: secretField.optional(),
  dataDirectory: absolutePathField.optional(),
  databases: listOf(textValue, "[shop, billing]").optional(),
  path: absolutePathField.optional(),
  exclude: listOf(textValue, '["cache/", "*.tmp"], as in a .gitignore').optional(),
  oneFileSystem: flagField.optional(),
  /** Left out: the one that applies to it. */
  policy: nameField.optional(),
  tier: choiceField(TIERS).default(DEFAULT_TIER),
  dataClass: choiceField(DATA_CLASSES).default(DEFAULT_DATA_CLASS),
  heartbeat: flagField.default(false),
  bandwidth: listOf(bandwidthField, '[{ daily: "08:00-18:00", rate: 50MB/s }]').default([]),
  labels: labelSection.default({}),
});

/** Where Debian and Red Hat put the server's programs, one folder a version. */
const DEFAULT_BINARIES = ["/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"];

const binariesField = field(
  "must be a list of absolute folders",
  '["/usr/lib/postgresql/*/bin"]; * stands for a version',
  { type: "array", minItems: 1, items: { type: "string", pattern: "^/" } },
  (value) =>
    Array.isArray(value) && value.length > 0 && value.every((folder): folder is string => typeof folder === "string" && folder.startsWith("/") && !folder.includes("\0"))
      ? value
      : undefined,
);

const userField = field("must be the name of a user of this machine", "such as postgres", { type: "string" }, (value) =>
  typeof value === "string" && /^[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?$/.test(value) ? value : undefined,
);

export const inventorySchema = section({
  version: versionField,
  state: pathField.default("./state"),
  repositories: namedMap("repository", repositorySection),
  postgres: section({ binaries: binariesField.default(DEFAULT_BINARIES), runAs: userField.optional() }).prefault({}),
  scratch: section({ directory: pathField.optional(), maxBytes: sizeField.optional(), memory: sizeField.optional() }).prefault({}),
  limits: limitsSection.prefault({}),
  sources: namedMap("source", sourceSection),
  ...alertingShape,
  evidence: evidenceSection.prefault({}),
  api: apiSection.prefault({}),
});

export type InventoryFile = z.infer<typeof inventorySchema>;
export type RepositorySection = InventoryFile["repositories"][string];
export type EvidenceSection = InventoryFile["evidence"];
export type SourceSection = InventoryFile["sources"][string];
