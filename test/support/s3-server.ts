import { execFile, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { randomInt, randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { freePort } from "./postmaster.ts";
import { openScratchFolder } from "./scratch-folder.ts";

/**
 * A real S3 server on loopback: Ceph's RADOS Gateway, with a monitor and one store in memory, from a tree that scripts/s3-server-tree.sh
 * unpacks (or wherever TEST_S3_SERVER says that one is). Nothing of it is installed on the machine.
 */
export interface S3Server extends AsyncDisposable {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** What a process needs to find its credentials by itself. */
  readonly env: Readonly<Record<string, string>>;
}

const CREDENTIALS = { accessKeyId: "testkey", secretAccessKey: "testsecret" };
const REGION = "us-east-1";
const run = promisify(execFile);

/** The tree, or why the tests that need it cannot run. */
export function findS3Server(): { readonly root: string } | { readonly missing: string } {
  const root = process.env["TEST_S3_SERVER"] ?? join(process.env["HOLDFAST_TEST_CACHE"] ?? join(tmpdir(), "holdfast-test-cache"), "s3-server");
  if (existsSync(join(root, "usr/bin/radosgw"))) return { root };
  return { missing: `no S3 server here: scripts/s3-server-tree.sh unpacks one, or TEST_S3_SERVER says where it is (looked at ${root})` };
}

export async function startS3Server(root: string): Promise<S3Server> {
  await using resources = new AsyncDisposableStack();
  const { path: data } = resources.use(await openScratchFolder());
  const port = await freePort();
  resources.use(await startGateway(openTree(root), { data, address: "127.0.0.1", port }));
  return await answering(`http://127.0.0.1:${port}`, resources.move());
}

/** A gateway that answers, as what a client needs to know of it; it ends with what it holds. */
export async function answering(endpoint: string, held: AsyncDisposableStack): Promise<S3Server> {
  const { accessKeyId, secretAccessKey } = CREDENTIALS;
  try {
    await untilItAnswers(endpoint);
  } catch (error) {
    await held.disposeAsync();
    throw error;
  }
  return {
    endpoint,
    region: REGION,
    credentials: CREDENTIALS,
    env: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_REGION: REGION },
    [Symbol.asyncDispose]: async () => held.disposeAsync(),
  };
}

export interface GatewayPlace {
  /** An empty folder, where its programs run. */
  readonly data: string;
  readonly address: string;
  readonly port: number;
}

/** A monitor, a store and a gateway with one user, wherever the programs of the tree run. */
export async function startGateway(tree: Tree, { data, address, port }: GatewayPlace): Promise<AsyncDisposable> {
  await using resources = new AsyncDisposableStack();
  for (const folder of ["mon", "osd", "rgw", "run", "log"]) await tree.makeFolder(join(data, folder));
  const monitorPort = 20_000 + randomInt(10_000);
  const clusterId = randomUUID();
  await tree.writeFile(join(data, "ceph.conf"), configuration(tree, data, clusterId, `${address}:${port}`, monitorPort));
  const conf = ["-c", join(data, "ceph.conf")];
  const keyring = join(data, "keyring");
  await tree.run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *");
  for (const name of ["client.admin", "client.rgw.a", "osd.0"])
    await tree.run("ceph-authtool", keyring, "--gen-key", "-n", name, "--cap", "mon", "allow *", "--cap", "osd", "allow *");
  await tree.run("monmaptool", "--create", "--fsid", clusterId, "--addv", "a", `[v2:127.0.0.1:${monitorPort}]`, join(data, "monmap"));
  await tree.run("ceph-mon", ...conf, "-i", "a", "--mkfs", "--monmap", join(data, "monmap"), "--keyring", keyring);
  // The stack ends the last one first: a gateway whose store is gone does not end.
  resources.use(tree.start("ceph-mon", ...conf, "-f", "-i", "a"));
  const storeId = randomUUID();
  await tree.ceph(...conf, "osd", "new", storeId, "0");
  await tree.run("ceph-osd", ...conf, "-i", "0", "--mkfs", "--osd-uuid", storeId);
  resources.use(tree.start("ceph-osd", ...conf, "-f", "-i", "0"));
  resources.use(tree.start("radosgw", ...conf, "-f", "-n", "client.rgw.a"));
  const { accessKeyId, secretAccessKey } = CREDENTIALS;
  const user = ["--uid=test", "--display-name=test", `--access-key=${accessKeyId}`, `--secret-key=${secretAccessKey}`];
  await tree.run("radosgw-admin", ...conf, "-n", "client.rgw.a", "user", "create", ...user);
  return resources.move();
}

/** Where the programs of the server are, and how they are run there. */
export interface Tree {
  readonly libraries: string;
  makeFolder(path: string): Promise<unknown>;
  writeFile(path: string, text: string): Promise<unknown>;
  run(program: string, ...args: string[]): Promise<unknown>;
  ceph(...args: string[]): Promise<unknown>;
  start(program: string, ...args: string[]): AsyncDisposable;
}

/** Programs of another Debian release: each is started through the loader of its own tree. */
function openTree(root: string): Tree {
  const [triplet, loader] = process.arch === "arm64" ? ["aarch64-linux-gnu", "lib/ld-linux-aarch64.so.1"] : ["x86_64-linux-gnu", "lib64/ld-linux-x86-64.so.2"];
  const libraries = join(root, "usr/lib", triplet);
  const ld = join(root, loader);
  const through = ["--library-path", [libraries, join(libraries, "ceph"), join(root, "usr/lib/ceph")].join(":")];
  const command = (program: string): string[] => [...through, join(root, "usr/bin", program)];
  const python = { env: { ...process.env, PYTHONHOME: join(root, "usr"), PYTHONDONTWRITEBYTECODE: "1" } };
  return {
    libraries,
    makeFolder: async (path) => mkdir(path),
    writeFile: async (path, text) => writeFile(path, text),
    run: async (program, ...args) => run(ld, [...command(program), ...args]),
    ceph: async (...args) => run(ld, [...command("python3"), "-s", join(root, "usr/bin/ceph"), ...args], python),
    start: (program, ...args) => running(spawn(ld, [...command(program), ...args], { stdio: "ignore" })),
  };
}

/** Killed when disposed of, and also when this process ends in a way that disposes of nothing. */
function running(child: ChildProcess): AsyncDisposable {
  const ended = once(child, "close");
  const kill = (): void => void child.kill("SIGKILL");
  process.once("exit", kill);
  return {
    [Symbol.asyncDispose]: async () => {
      process.off("exit", kill);
      kill();
      await ended;
    },
  };
}

const START_MS = 60_000;

async function untilItAnswers(endpoint: string): Promise<void> {
  for (const deadline = performance.now() + START_MS; ;) {
    const answer = await fetch(endpoint).catch(() => null);
    if (answer !== null) return;
    if (performance.now() > deadline) throw new Error(`no answer from ${endpoint}`);
    await pause(50);
  }
}

function configuration({ libraries }: Tree, data: string, clusterId: string, listen: string, monitorPort: number): string {
  return `[global]
fsid = ${clusterId}
mon host = v2:127.0.0.1:${monitorPort}
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv4 = true
ms bind ipv6 = false
ms bind port min = ${monitorPort + 1}
ms bind port max = ${monitorPort + 200}
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
mon allow pool size one = true
auth_allow_insecure_global_id_reclaim = false
mon data = ${data}/mon
osd data = ${data}/osd
osd objectstore = memstore
memstore device bytes = 8G
osd mclock skip benchmark = true
run dir = ${data}/run
admin socket = ${data}/run/$name.asok
pid file = ${data}/run/$name.pid
log file = ${data}/log/$name.log
mon cluster log file = ${data}/log/cluster.log
keyring = ${data}/keyring
log to stderr = false
err to stderr = false
paxos propose interval = 0.02
paxos min wait = 0.01
mon tick interval = 1
plugin dir = ${libraries}/ceph
erasure code dir = ${libraries}/ceph/erasure-code
osd class dir = ${libraries}/rados-classes
[client.rgw.a]
rgw frontends = beast endpoint=${listen} tcp_nodelay=1
rgw data = ${data}/rgw
rgw_s3_auth_use_keystone = false
rgw enable apis = s3, admin
`;
}
