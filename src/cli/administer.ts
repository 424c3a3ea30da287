import type { Command } from "commander";
import { resolveSecret } from "../config.ts";
import type { Administration } from "../operations/administration.ts";
import type { Installation } from "../operations/installation.ts";
import { chooseRepository } from "../operations/keys/key-change.ts";
import { newCommand } from "./action.ts";
import type { CommonOptions } from "./action.ts";
import { requireSecretRef } from "./passphrase.ts";

/** A command that takes a key which opens the repository: that of the inventory, or another one. */
export function adminCommand(name: string, description: string, example: string): Command {
  return newCommand(name, description, example).option("--key <reference>", "what opens the repository: env:NAME or file:/path (default: as the inventory says)");
}

export async function administer(app: Installation, name: string | undefined, options: CommonOptions): Promise<Administration> {
  const { name: repository } = chooseRepository(app.inventory, name);
  return app.administration(repository, options.key === undefined ? null : await resolveSecret(requireSecretRef("--key", options.key), "the key"));
}
