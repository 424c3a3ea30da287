import { ledgerKey } from "../../domain/verify-ledger.ts";
import type { StoredObject } from "../../domain/verify-ledger.ts";
import type { VerifyTier } from "../../domain/verify-tier.ts";
import { parseSegmentName, timelineHex } from "../../domain/wal-segment.ts";
import { DamageError } from "../../errors.ts";
import { readContents } from "../../repository/contents.ts";
import type { ContentsLine } from "../../repository/contents.ts";
import type { CopyView } from "../copy-view.ts";
import type { LedgerResult } from "../../catalog/verify-ledger.ts";

/** What of a source's pieces is looked at in one go, and what came out of it. */
export interface PieceWork {
  /** All of them: what can only be said of the whole (that a map adds up) is said too. */
  readonly isAll: boolean;
  isWanted(piece: StoredObject): boolean;
  /** It was looked at; whether it is whole is known from the damage that was found in `object`. */
  verified(piece: StoredObject, object: string): void;
  /** Pieces that are read side by side. */
  readonly atOnce: number;
  /** The piece was read: resolves when the next may begin. */
  pace(piece: StoredObject): Promise<void>;
}

const AT_ONCE = 4;

/** Everything, as fast as it goes. */
export class Pieces implements PieceWork {
  readonly #seen = new Map<string, { piece: StoredObject; objects: string[] }>();
  readonly #wanted: ReadonlySet<string> | null;
  readonly atOnce: number = AT_ONCE;

  /** `wanted`: null for all. */
  constructor(wanted: readonly StoredObject[] | null = null) {
    this.#wanted = wanted === null ? null : new Set(wanted.map(ledgerKey));
  }

  get isAll(): boolean {
    return this.#wanted === null;
  }

  isWanted(piece: StoredObject): boolean {
    return this.#wanted === null || this.#wanted.has(ledgerKey(piece));
  }

  verified(piece: StoredObject, object: string): void {
    const seen = this.#seen.get(ledgerKey(piece));
    if (seen === undefined) this.#seen.set(ledgerKey(piece), { piece, objects: [object] });
    else seen.objects.push(object);
  }

  async pace(_piece: StoredObject): Promise<void> {
    await Promise.resolve();
  }

  /** What was looked at so far, each piece with what was found in its objects. */
  results(tier: VerifyTier, isDamaged: (object: string) => boolean): LedgerResult[] {
    return [...this.#seen.values()].map(({ piece, objects }) => ({ ...piece, tier, ok: !objects.some(isDamaged) }));
  }
}

/** A container of a backup, by its line of the contents. */
export function pieceOf(backup: string, { name, bytes }: ContentsLine): StoredObject {
  return { unit: backup, kind: name.startsWith("data/") ? "data" : "map", number: Number(name.slice(name.indexOf("/") + 1)), bytes };
}

/** Null for a name that is none. Its size is that of the WAL in it, for what is stored is known only by reading. */
export function pieceOfSegment({ place, formerCluster }: Pick<CopyView, "place" | "formerCluster">, name: string): StoredObject | null {
  const { segmentBytes, systemIdentifier } = place;
  const segment = parseSegmentName(name, segmentBytes);
  if (segment === null) return null;
  const timeline = timelineHex(segment.timeline);
  return { unit: formerCluster === null ? timeline : `${systemIdentifier}/${timeline}`, kind: "wal", number: Number(segment.number), bytes: segmentBytes };
}

/** Every piece that a copy holds, those of former clusters too. A backup whose contents cannot be read is left out: verification says so. */
export async function listPieces(view: CopyView): Promise<StoredObject[]> {
  const pieces: StoredObject[] = [];
  for (const each of [view, ...(await view.former())]) pieces.push(...(await piecesOfCluster(each)));
  return pieces;
}

async function piecesOfCluster(view: CopyView): Promise<StoredObject[]> {
  const pieces: StoredObject[] = [];
  for (const { manifest } of view.listing.backups) {
    try {
      for (const line of await readContents(view.repository, manifest)) pieces.push(pieceOf(manifest.id, line));
    } catch (error) {
      if (!(error instanceof DamageError)) throw error;
    }
  }
  for (const name of view.inventory.segments.keys()) {
    const piece = pieceOfSegment(view, name);
    if (piece !== null) pieces.push(piece);
  }
  return pieces;
}
