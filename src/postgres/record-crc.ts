import { crc32c } from "@node-rs/crc32";

/** Below this, a loop here is quicker than the way out to native code and back. Most records are. */
const SHORT_BYTES = 160;
const HEADER_BYTES = 24;
/** The CRC lies at the end of the header and is not part of what it covers. */
const COVERED_HEADER_BYTES = 20;
const TABLE = makeTable();

/** CRC-32C of a WAL record: over its data, then its header up to the CRC. */
export function recordCrc(bytes: Buffer): number {
  const { length } = bytes;
  if (length > SHORT_BYTES) return crc32c(bytes.subarray(0, COVERED_HEADER_BYTES), crc32c(bytes.subarray(HEADER_BYTES)));
  let crc = -1;
  for (let i = HEADER_BYTES; i < length; i++) crc = (TABLE[(crc ^ (bytes[i] as number)) & 255] as number) ^ (crc >>> 8);
  for (let i = 0; i < COVERED_HEADER_BYTES; i++) crc = (TABLE[(crc ^ (bytes[i] as number)) & 255] as number) ^ (crc >>> 8);
  return ~crc >>> 0;
}

function makeTable(): Int32Array {
  return Int32Array.from({ length: 256 }, (_, index) => {
    let value = index;
    for (let bit = 0; bit < 8; bit++) value = (value & 1) === 0 ? value >>> 1 : (value >>> 1) ^ 0x82f63b78;
    return value;
  });
}
