import { z } from "zod";
import { ROLES, parseScope } from "../domain/access.ts";
import { isLoopback } from "../domain/loopback.ts";
import { choiceField, field, flagField, listenField, secretField, section, textValue } from "./fields.ts";
import type { Problem } from "./problem.ts";
import type { ApiConfig } from "./types.ts";
import type { YamlFile } from "./yaml-file.ts";

/** `api:` of the inventory: where it listens, and how those who come from elsewhere are kept from being read or fooled on the way. */
const scopeField = field("must be a list of sources", "names and label=value, separated by commas: orders,team=payments", (value) =>
  typeof value === "string" ? (parseScope(value) ?? undefined) : undefined,
);

const clientSection = section({ role: choiceField(ROLES), sources: scopeField.optional() });

const tlsSection = section({
  certificate: secretField,
  key: secretField,
  clientCa: secretField.optional(),
  /** By the common name of the certificate. */
  clients: z.record(z.string().min(1).max(200), clientSection, { error: "must be a map from common names to roles\nprometheus.example.com: { role: metrics }" }).default({}),
});

const issuerField = field("must be https:// and where the sign-in service is", "such as https://login.example.com/realms/main; http:// only on this machine", (value) =>
  typeof value === "string" && isIssuer(value) ? value : undefined,
);

function isIssuer(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username, password, search, hash } = new URL(text);
  const isSafe = protocol === "https:" || (protocol === "http:" && isLoopback(hostname.replace(/^\[(.*)\]$/, "$1")));
  return isSafe && username === "" && password === "" && search === "" && hash === "";
}

const oidcSection = section({
  issuer: issuerField,
  clientId: textValue,
  clientSecret: secretField.optional(),
  scope: textValue.default("openid profile email"),
  groupsClaim: textValue.default("groups"),
  groups: z.record(z.string().min(1).max(200), choiceField(ROLES), { error: "must be a map from groups to roles\n{ dba: operator }" }),
});

export const apiSection = section({
  listen: listenField.default({ host: "127.0.0.1", port: 8420 }),
  demo: flagField.default(false),
  behindProxy: flagField.default(false),
  tls: tlsSection.optional(),
  oidc: oidcSection.optional(),
});

export function completeApi({ listen, demo, behindProxy, tls, oidc }: z.infer<typeof apiSection>): ApiConfig {
  const clients = Object.entries(tls?.clients ?? {}).map(([name, { role, sources }]) => [name, { role, scope: sources ?? null }] as const);
  return {
    ...listen,
    demo,
    behindProxy,
    tls: tls === undefined ? null : { certificate: tls.certificate, key: tls.key, clientCa: tls.clientCa ?? null, clients: new Map(clients) },
    oidc: oidc === undefined ? null : { ...oidc, clientSecret: oidc.clientSecret ?? null, groups: new Map(Object.entries(oidc.groups)) },
  };
}

/** What must not be put together. Null: nothing is wrong. */
export function whyNotServed({ host, demo, behindProxy, tls }: ApiConfig): { readonly message: string; readonly hint: string } | null {
  if (demo && (!isLoopback(host) || behindProxy))
    return {
      message: "demo lets in everybody who can reach it, and must not be open to other machines",
      hint: "listen on 127.0.0.1, or leave demo out and make tokens: holdfast token add",
    };
  if (!isLoopback(host) && tls === null && !behindProxy)
    return {
      message: `listen ${host} is open to other machines, and without TLS whoever is in between reads the tokens`,
      hint: "give it a certificate, tls: { certificate: file:…, key: file:… }; or behindProxy: true where a proxy in front has one; or a loopback address",
    };
  if (tls?.clientCa === null && tls.clients.size > 0)
    return { message: "tls.clients are known by certificates, and nobody says who signs those", hint: "tls: { clientCa: file:… }" };
  return null;
}

/** The same, with the line in the file. */
export function apiProblems(yaml: YamlFile, api: ApiConfig): Problem[] {
  const why = whyNotServed(api);
  const { file, line, column } = yaml.find(["api"]);
  return why === null ? [] : [{ file, line, column, ...why }];
}
