import { hostname } from "node:os";
import type { Clock } from "./clock.ts";
import { resolveSecret } from "./config.ts";
import { HoldfastError } from "./errors.ts";
import { openConfiguredStore } from "./open-stores.ts";
import type { Administration } from "./operations/administration.ts";
import type { Inventory, RepositoryConfig } from "./policy/types.ts";
import type { HostState } from "./repository/host-state.ts";
import type { AdmittedHost } from "./repository/hosts.ts";
import { openAsAdmin, openForWriting } from "./repository/repository.ts";
import type { WritableRepository } from "./repository/repository.ts";
import type { ObjectStore } from "./storage/object-store.ts";

/** Opens each thing at its first use, and keeps it. What failed is tried again by the next one who asks: an outage ends. */
export function openOnce<T>(open: (name: string) => Promise<T>): (name: string) => Promise<T> {
  const opened = new Map<string, Promise<T>>();
  return async (name) => {
    let pending = opened.get(name);
    if (pending === undefined) {
      pending = open(name);
      opened.set(name, pending);
      pending.catch(() => opened.delete(name));
    }
    return pending;
  };
}

/** Without the passphrase a host that was admitted before can still write (and read maps): it holds the map key. */
export async function openConfigured(
  config: RepositoryConfig,
  host: HostState,
  clock: Clock,
  inventory: Inventory,
  told: { readonly onAdmitted: (host: AdmittedHost) => void; readonly onHistory: WritableRepository["onHistory"] },
): Promise<WritableRepository> {
  const secret = await passphraseOf(config).catch((error: unknown) => {
    if (error instanceof HoldfastError && host.knowsAny) return null;
    throw error;
  });
  return openForWriting({ ...(await writingOptions(config, host, clock, inventory)), secret, recipient: config.recipient, ...told });
}

/** Null where the inventory names none, because this host only writes. */
async function passphraseOf({ name, passphrase }: RepositoryConfig): Promise<string | null> {
  return passphrase === null ? null : resolveSecret(passphrase, `the passphrase of repository ${name}`);
}

async function writingOptions(
  config: RepositoryConfig,
  host: HostState,
  clock: Clock,
  inventory: Inventory,
): Promise<{ name: string; store: ObjectStore; host: HostState; hostName: string; now: Date }> {
  return { name: config.name, store: await openConfiguredStore(config, clock, inventory), host, hostName: hostname(), now: clock.now() };
}

export async function openAdministration(config: RepositoryConfig, host: HostState, clock: Clock, inventory: Inventory, given: string | null): Promise<Administration> {
  const secret = given ?? (await passphraseOf(config));
  if (secret === null)
    throw new HoldfastError("HF-KEY", `to change the keys or hosts of ${config.name} takes a key that opens it, and this host has none`, {
      hint: "name one: --key env:NAME or file:/path",
    });
  return { ...(await openAsAdmin({ ...(await writingOptions(config, host, clock, inventory)), secret })), secret };
}
