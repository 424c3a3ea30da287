import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from "@aws-sdk/client-s3";
import { openLocalStore } from "../../src/storage/local-store.ts";
import type { ObjectStore } from "../../src/storage/object-store.ts";
import { openS3Store } from "../../src/storage/s3-store.ts";
import { makeBucket, s3Options } from "./s3-bucket.ts";
import type { Bucket } from "./s3-bucket.ts";
import { startS3Proxy } from "./s3-proxy.ts";
import { findS3Server, startS3Server } from "./s3-server.ts";
import { listTree } from "./tree.ts";

/**
 * Where a site keeps what it backs up: in a folder, in a bucket of a real S3 server, or one copy in each. Suites that can do with any of them take what
 * HOLDFAST_TEST_REPOSITORY asks for.
 */
export type Keeping = "folder" | "bucket" | "both";

export function keepingAskedFor(): Keeping {
  const asked = process.env["HOLDFAST_TEST_REPOSITORY"] ?? "folder";
  if (asked === "folder" || asked === "bucket" || asked === "both") return asked;
  throw new Error(`HOLDFAST_TEST_REPOSITORY is folder, bucket or both, not ${asked}`);
}

/** One repository looked at, and tampered with, from outside: with nothing of ours in between. */
interface Objects {
  list(): Promise<string[]>;
  read(key: string): Promise<Buffer>;
  /** Also over what is there. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  remove(key: string): Promise<void>;
  /** Names of folders below one. */
  folders(below: string): Promise<string[]>;
}

export interface KeptCopy {
  readonly name: string;
  /** How it is in the inventory: `url: …` and what is needed to get there. */
  readonly place: string;
  /** How a command without an inventory is told. */
  readonly address: readonly string[];
  /** What a process needs in its environment to get in. */
  readonly env: Readonly<Record<string, string>>;
  readonly objects: Objects;
  open(): ObjectStore;
  /** Nobody reaches it while `act` runs. */
  away<T>(act: () => Promise<T>): Promise<T>;
}

/** Below `folder`, or in a server that is started here and ends with `resources`. */
export async function keepCopies(keeping: Keeping, folder: string, resources: AsyncDisposableStack): Promise<KeptCopy[]> {
  if (keeping === "folder") return [copyInFolder("onsite", folder)];
  const found = findS3Server();
  if ("missing" in found) throw new Error(found.missing);
  const name = keeping === "both" ? "cloud" : "onsite";
  const inBucket = await copyInBucket(name, found.root, resources);
  return keeping === "both" ? [copyInFolder("onsite", folder), inBucket] : [inBucket];
}

export function copyInFolder(name: string, folder: string): KeptCopy {
  const root = join(folder, name);
  const url = `file://${root}`;
  return {
    name,
    place: `url: "${url}"`,
    address: ["--repository", url],
    env: {},
    objects: {
      list: async () => listTree(root),
      read: async (key) => readFile(join(root, key)),
      put: async (key, bytes) => {
        await mkdir(dirname(join(root, key)), { recursive: true });
        await writeFile(join(root, key), bytes);
      },
      remove: async (key) => rm(join(root, key)),
      folders: async (below) => (await readdir(join(root, below))).toSorted(),
    },
    open: () => openLocalStore(root),
    away: async (act) => moved(root, `${root}-away`, act),
  };
}

async function moved<T>(path: string, aside: string, act: () => Promise<T>): Promise<T> {
  await rename(path, aside);
  try {
    return await act();
  } finally {
    await rename(aside, path);
  }
}

const PREFIX = "site/one/";

async function copyInBucket(name: string, root: string, resources: AsyncDisposableStack): Promise<KeptCopy> {
  const server = resources.use(await startS3Server(root));
  const bucket = await makeBucket(server, "backups");
  let isAway = false;
  const door = resources.use(await startS3Proxy(server.endpoint, () => (isAway ? "cut request" : "pass")));
  const url = `s3://${bucket.name}/${PREFIX.slice(0, -1)}`;
  return {
    name,
    place: `url: "${url}", endpoint: "${door.endpoint}", region: ${server.region}`,
    address: ["--repository", url, "--endpoint", door.endpoint],
    env: server.env,
    objects: objectsIn(bucket),
    open: () => openS3Store({ bucket: bucket.name, prefix: PREFIX }, s3Options(server)),
    away: async (act) => {
      isAway = true;
      try {
        return await act();
      } finally {
        isAway = false;
      }
    },
  };
}

function objectsIn({ client, name }: Bucket): Objects {
  const at = (key: string): { Bucket: string; Key: string } => ({ Bucket: name, Key: `${PREFIX}${key}` });
  const list = async (): Promise<string[]> => {
    const found: string[] = [];
    for (let token: string | undefined, isFirst = true; isFirst || token !== undefined; isFirst = false) {
      const page = await client.send(new ListObjectsV2Command({ Bucket: name, Prefix: PREFIX, ContinuationToken: token }));
      found.push(...(page.Contents ?? []).map(({ Key = "" }) => Key.slice(PREFIX.length)));
      token = page.NextContinuationToken;
    }
    return found.toSorted();
  };
  return {
    list,
    read: async (key) => Buffer.from((await (await client.send(new GetObjectCommand(at(key)))).Body?.transformToByteArray()) ?? []),
    put: async (key, bytes) => void (await client.send(new PutObjectCommand({ ...at(key), Body: bytes }))),
    remove: async (key) => void (await client.send(new DeleteObjectCommand(at(key)))),
    folders: async (below) => {
      const inside = (await list()).filter((key) => key.startsWith(`${below}/`)).map((key) => key.slice(below.length + 1).split("/")[0] ?? "");
      return [...new Set(inside)].toSorted();
    },
  };
}
