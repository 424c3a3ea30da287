export interface FolderEntry {
  readonly name: string;
  readonly isFolder: boolean;
  /** A symbolic link: its target, where the reader can see it. */
  readonly linkTarget: string | null;
  readonly size: number;
}

const FIRST_ENTRIES = 256;
const BYTES_A_NAME = 16;

/**
 * The entries of one folder, in few bytes each: a database of a million relations is one folder. Names lie one after the other in one piece of memory, and entries are made anew when
 * they are asked for.
 */
export class FolderListing implements Iterable<FolderEntry> {
  #names = Buffer.allocUnsafeSlow(FIRST_ENTRIES * BYTES_A_NAME);
  /** Where a name begins; the next one begins where it ends. */
  #begins = new Uint32Array(FIRST_ENTRIES + 1);
  #sizes = new Float64Array(FIRST_ENTRIES);
  /** What is no plain file: there are few. By number. */
  readonly #others = new Map<number, FolderEntry>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(entry: FolderEntry): void {
    const begin = this.#begins[this.#count] ?? 0;
    // As many bytes as a name can have at most in UTF-8.
    this.#makeRoom(begin + 3 * entry.name.length);
    const end = begin + this.#names.write(entry.name, begin, "utf8");
    this.#sizes[this.#count] = entry.size;
    if (entry.isFolder || entry.linkTarget !== null) this.#others.set(this.#count, entry);
    this.#begins[++this.#count] = end;
  }

  /** In the order in which they were added. */
  *[Symbol.iterator](): Generator<FolderEntry> {
    for (let i = 0; i < this.#count; i++) yield this.#entry(i);
  }

  /** In bytewise order of their names, which is that of a map. */
  *sorted(): Generator<FolderEntry> {
    const [names, begins] = [this.#names, this.#begins];
    const order = Uint32Array.from({ length: this.#count }, (_, i) => i);
    order.sort((a, b) => names.compare(names, begins[b], begins[b + 1], begins[a], begins[a + 1]));
    for (const i of order) yield this.#entry(i);
  }

  #entry(i: number): FolderEntry {
    return this.#others.get(i) ?? { name: this.#names.toString("utf8", this.#begins[i], this.#begins[i + 1]), isFolder: false, linkTarget: null, size: this.#sizes[i] ?? 0 };
  }

  #makeRoom(nameBytes: number): void {
    if (nameBytes > this.#names.length) {
      const larger = Buffer.allocUnsafeSlow(2 * nameBytes);
      this.#names.copy(larger);
      this.#names = larger;
    }
    if (this.#count < this.#sizes.length) return;
    const [begins, sizes] = [new Uint32Array(2 * this.#count + 1), new Float64Array(2 * this.#count)];
    begins.set(this.#begins);
    sizes.set(this.#sizes);
    [this.#begins, this.#sizes] = [begins, sizes];
  }
}
