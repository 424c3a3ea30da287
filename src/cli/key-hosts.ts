import { hostname } from "node:os";
import type { Command } from "commander";
import { openConfiguredStore } from "../open-stores.ts";
import { admitRequested, expelHost, findRequests } from "../operations/keys/change-hosts.ts";
import { chooseRepository } from "../operations/keys/key-change.ts";
import type { AdmittedHost } from "../repository/hosts.ts";
import { writeRequest } from "../repository/hosts.ts";
import { readKeyChain } from "../repository/key-chain.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions } from "./action.ts";
import { adminCommand, administer } from "./administer.ts";

const REPOSITORY = ["[repository]", "which repository (may be left out where there is one)"] as const;

export function hostsCommand(): Command {
  return newCommand("hosts", "which hosts may write in a repository, and which ask to", "holdfast key hosts onsite")
    .argument(...REPOSITORY)
    .action(async (name: string | undefined, options: CommonOptions) =>
      perform(options, async ({ output, openApp }) => {
        const app = await openApp();
        const repository = await app.repository(chooseRepository(app.inventory, name).name);
        const asking = await findRequests(repository);
        const hosts = repository.hosts.map(({ fingerprint, name: host, admittedAt, expelledAt }) => ({ fingerprint, name: host, admittedAt, expelledAt }));
        output.result({ repository: repository.name, hosts, requests: asking }, () =>
          [
            ...repository.hosts.map(describeHost),
            ...asking.map(
              (request) => `${request.fingerprint}  ${request.name}  asks since ${request.askedAt.slice(0, 10)}; compare the fingerprint with what 'key request' prints there`,
            ),
            "",
          ].join("\n"),
        );
        return 0;
      }),
    );
}

function describeHost({ fingerprint, name, admittedAt, expelledAt }: AdmittedHost): string {
  return `${fingerprint}  ${name}  admitted ${admittedAt.slice(0, 10)}${expelledAt === null ? "" : `, expelled ${expelledAt.slice(0, 10)}`}`;
}

export function requestCommand(): Command {
  return newCommand("request", "ask for leave to write in a repository: for a host that holds no passphrase", "holdfast key request onsite")
    .argument(...REPOSITORY)
    .option("--name <host>", "what to call this host (default: its own name)")
    .action(async (name: string | undefined, options: CommonOptions & { name?: string }) =>
      perform(options, async ({ output, openApp }) => {
        const app = await openApp();
        const config = chooseRepository(app.inventory, name);
        const store = await openConfiguredStore(config, app.clock, app.inventory);
        const { repositoryId } = await readKeyChain(config.name, store);
        const { signer } = app.host;
        const host = options.name ?? hostname();
        await writeRequest(store, repositoryId, signer, { name: host, at: app.clock.now() });
        const result = { repository: config.name, name: host, fingerprint: signer.fingerprint, publicKey: signer.publicKey };
        output.result(result, () =>
          [
            `${host} asks to write in ${config.name}`,
            `  fingerprint ${signer.fingerprint}`,
            "  Tell it to whoever holds the passphrase, over another way than this repository. There:",
            `    holdfast key admit ${signer.fingerprint} --name ${host}`,
            "",
          ].join("\n"),
        );
        return 0;
      }),
    );
}

export function admitCommand(): Command {
  return adminCommand("admit", "let a host that asked write in a repository", "holdfast key admit 3f5a… --name db7")
    .argument("<fingerprint>", "as 'key request' printed it on that host")
    .argument(...REPOSITORY)
    .option("--name <host>", "what to call it (default: what it calls itself)")
    .action(async (fingerprint: string, name: string | undefined, options: CommonOptions & { name?: string }) =>
      perform(options, async ({ output, openApp }) => {
        const app = await openApp();
        const admin = await administer(app, name, options);
        const admitted = await admitRequested(app, admin, { fingerprint, name: options.name ?? null });
        output.result({ repository: admin.repository.name, ...admitted }, () => `${admitted.name} may write in ${admin.repository.name} (${admitted.fingerprint})\n`);
        return 0;
      }),
    );
}

export function expelCommand(): Command {
  return adminCommand("expel", "take a host's leave to write: what it has written stays, and nothing after it counts", "holdfast key expel 3f5a…")
    .argument("<fingerprint>", "as 'key hosts' shows it")
    .argument(...REPOSITORY)
    .action(async (fingerprint: string, name: string | undefined, options: CommonOptions) =>
      perform(options, async ({ output, openApp }) => {
        const app = await openApp();
        const admin = await administer(app, name, options);
        const expelled = await expelHost(app, admin, fingerprint);
        output.result({ repository: admin.repository.name, ...expelled }, () =>
          [
            `${expelled.name} may not write in ${admin.repository.name} any more; of what it wrote, ${expelled.objects} objects are on a signed list, and nothing else of it counts`,
            "  If it knew a passphrase, take that away too, and rotate: 'holdfast key remove', 'holdfast key rotate'. Its access to the storage is not ours to end:",
            "  whoever has that, and kept the host's admission, could put it back, until a rotation.",
            "",
          ].join("\n"),
        );
        return 0;
      }),
    );
}
