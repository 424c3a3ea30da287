import type { RepositoryIdentity } from "../repository/identity.ts";
import type { WritableRepository } from "../repository/repository.ts";

/** A repository opened by somebody who can open its newest key: who may change who else can, and who may write. */
export interface Administration {
  readonly repository: WritableRepository;
  readonly identity: RepositoryIdentity;
  /** The passphrase or age identity that opened it. */
  readonly secret: string;
}
