/** A position in PostgreSQL's write-ahead log. A number inside, text (`0/16B3748`) only at edges; compared as a number, never as text. */
export type Lsn = bigint & { readonly brand: "Lsn" };

export function lsn(value: bigint): Lsn {
  return value as Lsn;
}

const TEXT = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;

/** The LSN written as PostgreSQL writes it, or null. */
export function tryParseLsn(text: string): Lsn | null {
  const match = TEXT.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) return null;
  return lsn((BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`));
}

/** For text from our own documents or from PostgreSQL. Throws a RangeError on anything else. */
export function parseLsn(text: string): Lsn {
  const value = tryParseLsn(text);
  if (value === null) throw new RangeError(`not an LSN: ${JSON.stringify(text)}`);
  return value;
}

export function formatLsn(value: Lsn): string {
  return `${(value >> 32n).toString(16).toUpperCase()}/${(value & 0xffffffffn).toString(16).toUpperCase()}`;
}

export function addBytes(position: Lsn, bytes: number | bigint): Lsn {
  return lsn(position + BigInt(bytes));
}

/** Bytes from `from` to `to`; negative where `to` lies before. */
export function bytesBetween(from: Lsn, to: Lsn): number {
  return Number(to - from);
}

/** Where the next record begins after one that ends here: at a multiple of eight. */
export function alignRecord(end: Lsn): Lsn {
  return lsn((end + 7n) & ~7n);
}

export function minLsn(a: Lsn, b: Lsn): Lsn {
  return a < b ? a : b;
}

export function maxLsn(a: Lsn, b: Lsn): Lsn {
  return a > b ? a : b;
}
