import { z } from "zod";
import { HoldfastError } from "../../errors.ts";
import type { RepositoryConfig } from "../../policy/types.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import { repositoriesOf } from "../installation.ts";
import type { Installation } from "../installation.ts";
import { lastProofOf } from "../observe.ts";
import { listKeys } from "./list-keys.ts";

/** What somebody needs at three in the morning who has one key and an empty machine. There is no secret on it. */
const sheetSchema = z.object({
  sheet: z.literal(1),
  madeAt: z.string(),
  madeOn: z.string(),
  repositories: z
    .array(
      z.object({
        name: z.string(),
        url: z.string(),
        endpoint: z.string().nullable(),
        region: z.string().nullable(),
        /** The newest key when the sheet was made. */
        keyId: z.string(),
        recipients: z.array(z.object({ label: z.string(), kind: z.enum(["passphrase", "recipient"]), recipient: z.string().nullable(), keptAt: z.string().nullable() })),
        hosts: z.array(z.object({ name: z.string(), fingerprint: z.string(), admittedAt: z.string(), admittedBy: z.string().nullable(), expelledAt: z.string().nullable() })),
      }),
    )
    .min(1),
  sources: z.array(
    z.object({
      name: z.string(),
      repositories: z.array(z.string()),
      lastProof: z.object({ at: z.string(), drill: z.string(), verdict: z.string(), backupId: z.string().nullable() }).nullable(),
    }),
  ),
});
export type RecoverySheet = z.infer<typeof sheetSchema>;
export type SheetRepository = RecoverySheet["repositories"][number];

export async function makeRecoverySheet(installation: Installation, repositories: readonly RepositoryConfig[]): Promise<RecoverySheet> {
  const { inventory, journal, clock } = installation;
  const names = new Set(repositories.map(({ name }) => name));
  const described: SheetRepository[] = [];
  for (const config of repositories) described.push(await describeRepository(config, await installation.repository(config.name)));
  const sources = [...inventory.sources.values()].map((source) => {
    const proof = lastProofOf(installation, source.name);
    return {
      name: source.name,
      repositories: repositoriesOf(source).filter((name) => names.has(name)),
      lastProof: proof === null ? null : { at: proof.at, drill: proof.drill, verdict: proof.verdict, backupId: proof.backupId },
    };
  });
  return { sheet: 1, madeAt: clock.now().toISOString(), madeOn: journal.hostName, repositories: described, sources: sources.filter((source) => source.repositories.length > 0) };
}

async function describeRepository({ name, url, s3 }: RepositoryConfig, repository: WritableRepository): Promise<SheetRepository> {
  const { keyId, recipients } = await listKeys(repository);
  return {
    name,
    url,
    endpoint: s3?.endpoint ?? null,
    region: s3?.region ?? null,
    keyId,
    recipients: recipients.map(({ label, kind, recipient, keptAt }) => ({ label, kind, recipient, keptAt })),
    hosts: repository.hosts.map(({ name: host, fingerprint, admittedAt, admittedBy, expelledAt }) => ({ name: host, fingerprint, admittedAt, admittedBy, expelledAt })),
  };
}

const [BEGIN, END] = ["-----BEGIN HOLDFAST RECOVERY SHEET-----", "-----END HOLDFAST RECOVERY SHEET-----"];

/** The part of a sheet that a program reads: JSON, between two lines that do not change. */
export function formatSheetBlock(sheet: RecoverySheet): string[] {
  return [BEGIN, ...JSON.stringify(sheet, null, 1).split("\n"), END];
}

/** The sheet in a text that has one. */
export function parseRecoverySheet(text: string): RecoverySheet {
  const block = text.split(BEGIN)[1]?.split(END)[0];
  try {
    return sheetSchema.parse(JSON.parse(block ?? ""));
  } catch (cause) {
    throw new HoldfastError("HF-USAGE", "that is no recovery sheet", { hint: `its end, from ${BEGIN} on, must be as 'holdfast recovery-sheet' printed it`, cause });
  }
}
