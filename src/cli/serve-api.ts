import type { Logger } from "pino";
import type { OidcSignIn } from "../access/oidc.ts";
import type { Api } from "../api/route-context.ts";
import { createApi } from "../api/server.ts";
import type { TlsMaterial } from "../api/tls.ts";
import type { App } from "../app.ts";
import { systemClock } from "../clock.ts";
import { resolveSecret } from "../config.ts";
import { HoldfastError } from "../errors.ts";
import { newRunId } from "../operations/installation.ts";
import { pauseSource } from "../operations/pause-source.ts";
import { approvePolicy } from "../operations/policy/approve-policy.ts";
import { recordEntry } from "../operations/record-run.ts";
import type { OidcSettings, TlsConfig } from "../policy/types.ts";
import { VERSION } from "../version.ts";

interface ServedApi {
  readonly tls: TlsMaterial | null;
  readonly isSchedulerRunning: () => boolean;
  readonly log: Logger;
}

/** The API of this installation, not listening yet. */
export async function openServedApi(app: App, { tls, isSchedulerRunning, log }: ServedApi): Promise<Api> {
  const { oidc } = app.inventory.api;
  return createApi({
    catalog: app.catalog,
    inventory: app.inventory,
    clock: systemClock,
    writer: app.journal.evidence.writer,
    record: async (kind, facts) => {
      await recordEntry(app.journal, kind, facts);
    },
    newRunId: () => newRunId(app.clock),
    changes: { pause: async (order) => pauseSource(app, order), approve: async (order) => approvePolicy(app, order) },
    evidence: (upTo, limit) => app.journal.evidence.entriesBefore(upTo, limit),
    tls,
    oidc: oidc === null ? null : await openSignInService(oidc),
    isSchedulerRunning,
    version: VERSION,
    evidenceHead: () => app.journal.evidence.head(),
    onError: (error, requestId) => log.error({ error: String(error), requestId }, "a request failed"),
  });
}

/** Listens where the inventory says, and answers with the address. */
export async function listen(api: Api, { host, port }: App["inventory"]["api"]): Promise<string> {
  return api.listen({ host, port }).catch((cause: unknown) => {
    throw new HoldfastError("HF-CONFIG", `cannot listen on ${host}:${port}`, { hint: "choose another address in 'api.listen'", cause });
  });
}

/** Certificates and key as the inventory names them, read once; null: the API speaks plain HTTP. */
export async function readTls(tls: TlsConfig | null): Promise<TlsMaterial | null> {
  if (tls === null) return null;
  const { certificate, key, clientCa } = tls;
  return {
    certificate: await resolveSecret(certificate, "the certificate of the API"),
    key: await resolveSecret(key, "the key of the API's certificate"),
    clientCa: clientCa === null ? null : await resolveSecret(clientCa, "the authority for client certificates"),
  };
}

/** Loaded where it is asked for: most installations have none. */
async function openSignInService({ clientSecret, ...settings }: OidcSettings): Promise<OidcSignIn> {
  const { OidcSignIn: Service } = await import("../access/oidc.ts");
  return new Service({ ...settings, clientSecret: clientSecret === null ? null : await resolveSecret(clientSecret, "the secret of the sign-in service") }, systemClock);
}
