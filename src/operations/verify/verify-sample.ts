import { createHash } from "node:crypto";
import { ledgerKey } from "../../domain/verify-ledger.ts";
import type { StoredObject } from "../../domain/verify-ledger.ts";
import { drawSample } from "../../domain/sample.ts";
import type { VerifyTier } from "../../domain/verify-tier.ts";
import type { LedgerResult } from "../../catalog/verify-ledger.ts";
import { Pieces } from "./verify-pieces.ts";

/** A part of what is there, drawn so that everybody draws the same: of all pieces (containers of backups, segments of WAL) those whose digest of seed and name is smallest. */
export interface SampleRequest {
  /** Above 0, at most 100. */
  readonly percent: number;
  readonly seed: string;
}

export interface SampleView extends SampleRequest {
  /** How many pieces there were, in all repositories, and how many were read. */
  readonly of: number;
  readonly drawn: number;
}

/** The pieces that a sample names; of what is there, at least one. */
function drawPieces(population: readonly StoredObject[], { percent, seed }: SampleRequest): readonly StoredObject[] {
  const named = population.map((piece) => ({ ...piece, id: ledgerKey(piece) }));
  return drawSample(named, Math.ceil((population.length * percent) / 100), seed, (text) => createHash("sha256").update(text).digest("hex")).drawn;
}

/** What is read of the sources of one repository, and what came out of it. */
export class ChosenPieces {
  readonly #sample: SampleRequest | null;
  readonly #bySource: Pieces[] = [];
  of = 0;
  drawn = 0;

  constructor(sample: SampleRequest | null) {
    this.#sample = sample;
  }

  /** `list`: every piece that a copy holds. Asked only where some of them are drawn. */
  async choose(list: () => Promise<readonly StoredObject[]>): Promise<Pieces> {
    const pieces = this.#sample === null ? new Pieces() : new Pieces(this.#draw(await list(), this.#sample));
    this.#bySource.push(pieces);
    return pieces;
  }

  #draw(population: readonly StoredObject[], sample: SampleRequest): readonly StoredObject[] {
    const drawn = drawPieces(population, sample);
    this.of += population.length;
    this.drawn += drawn.length;
    return drawn;
  }

  results(tier: VerifyTier, isDamaged: (object: string) => boolean): LedgerResult[] {
    return this.#bySource.flatMap((pieces) => pieces.results(tier, isDamaged));
  }
}

export function sampleView(sample: SampleRequest, drawn: readonly ChosenPieces[]): SampleView {
  return { ...sample, of: drawn.reduce((sum, each) => sum + each.of, 0), drawn: drawn.reduce((sum, each) => sum + each.drawn, 0) };
}
