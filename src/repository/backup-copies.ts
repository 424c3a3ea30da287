import type { Clock } from "../clock.ts";
import { HoldfastError } from "../errors.ts";
import { openContainerWriter } from "./container-writer.ts";
import type { ContainerWriter } from "./container-writer.ts";
import type { PlainFrame } from "./container-format.ts";
import type { ContentsLine } from "./contents.ts";
import type { FrameAddress, FrameSink } from "./frame-lane.ts";
import type { SealedKey } from "./key-ring.ts";
import { keys } from "./layout.ts";
import type { WritableRepository } from "./repository.ts";

/** One copy of a backup under way: the containers of it in one repository. A copy that fails is dropped; the others go on. */
export class BackupCopy {
  readonly repository: WritableRepository;
  readonly dataKey: SealedKey;
  readonly #source: string;
  readonly #backup: string;
  readonly #clock: Clock;
  readonly #open: { data: ContainerWriter | null; map: ContainerWriter | null } = { data: null, map: null };
  readonly contents: ContentsLine[] = [];
  storedBytes = 0;
  failure: unknown = null;

  constructor(repository: WritableRepository, options: { source: string; backup: string; dataKey: SealedKey; clock: Clock }) {
    this.repository = repository;
    this.#source = options.source;
    this.#backup = options.backup;
    this.dataKey = options.dataKey;
    this.#clock = options.clock;
  }

  async append(kind: "data" | "map", address: FrameAddress, frame: PlainFrame): Promise<void> {
    const writer = (this.#open[kind] ??= await this.#openPack(kind, address.pack));
    await writer.append(frame);
  }

  async closePack(kind: "data" | "map", pack: number): Promise<void> {
    const writer = this.#open[kind];
    if (writer === null) return;
    this.#open[kind] = null;
    const key = keys.pack(this.#source, this.#backup, kind, pack);
    const { outcome, bytes, root } = await writer.finish();
    // The id of a backup is used once: whoever wrote this object is not this run.
    if (outcome === "exists") throw new HoldfastError("HF-BUSY", `${key} was written by somebody else`, { hint: "run the backup again" });
    this.contents.push({ name: key.slice(keys.backup(this.#source, this.#backup).length), bytes, root });
    this.storedBytes += bytes;
  }

  async abort(): Promise<void> {
    await Promise.allSettled([this.#open.data?.abort(), this.#open.map?.abort()]);
  }

  #openPack(kind: "data" | "map", pack: number): Promise<ContainerWriter> {
    const key = keys.pack(this.#source, this.#backup, kind, pack);
    return openContainerWriter({
      repository: this.repository,
      source: this.#source,
      kind,
      objectKey: key,
      boundKey: key,
      key: kind === "data" ? this.dataKey : this.repository.mapKey,
      now: this.#clock.now(),
    });
  }
}

/** The copies that have not failed. */
export function living(copies: readonly BackupCopy[]): BackupCopy[] {
  return copies.filter((copy) => copy.failure === null);
}

/** Frames to all living copies at once. Only when none is left does it fail, with the first copy's reason. */
export function fanOut(copies: readonly BackupCopy[], kind: "data" | "map"): FrameSink {
  const toAll = async (act: (copy: BackupCopy) => Promise<void>): Promise<void> => {
    await Promise.all(
      living(copies).map(async (copy) => {
        try {
          await act(copy);
        } catch (error) {
          copy.failure = error;
          await copy.abort();
        }
      }),
    );
    if (living(copies).length === 0) throw copies[0]?.failure;
  };
  return {
    append: (address, frame) => toAll((copy) => copy.append(kind, address, frame)),
    closePack: (pack) => toAll((copy) => copy.closePack(kind, pack)),
  };
}
