import { spawn } from "node:child_process";
import { once } from "node:events";
import { GenericContainer, getContainerRuntimeClient, Wait } from "testcontainers";
import type { ContainerRuntimeClient, StartedTestContainer } from "testcontainers";
import { messageOf } from "../../src/errors.ts";
import { answering, findS3Server, startGateway } from "./s3-server.ts";
import type { S3Server, Tree } from "./s3-server.ts";

/** Of the tree that the tests have: made when it is not there, so that no registry is asked. */
const IMAGE = "holdfast-test-s3:tree";
const PORT = 8000;
const DATA = "/data";
const READY = "the container is up";

export interface ContainerEngine {
  readonly client: ContainerRuntimeClient;
  readonly root: string;
}

/** An engine that answers and a tree to make an image of, or why there is none. */
export async function findContainerEngine(): Promise<ContainerEngine | { readonly missing: string }> {
  const tree = findS3Server();
  if ("missing" in tree) return tree;
  try {
    return { client: await getContainerRuntimeClient(), root: tree.root };
  } catch (error) {
    return { missing: `no container engine answers (${messageOf(error)}); DOCKER_HOST says where one is` };
  }
}

/** The S3 server of the tests in a container. The container goes when it is disposed of: the helper that would see to it otherwise comes from a registry. */
export async function startS3Container(engine: ContainerEngine): Promise<S3Server> {
  process.env["TESTCONTAINERS_RYUK_DISABLED"] ??= "true";
  await ensureImage(engine);
  await using resources = new AsyncDisposableStack();
  const container = await new GenericContainer(IMAGE)
    .withCommand(["sh", "-c", `echo ${READY}; exec sleep infinity`])
    .withExposedPorts(PORT)
    .withWaitStrategy(Wait.forLogMessage(READY))
    .start();
  resources.defer(async () => void (await container.stop({ timeout: 0 })));
  await exec(container, ["mkdir", DATA]);
  await startGateway(treeIn(container), { data: DATA, address: "0.0.0.0", port: PORT });
  return await answering(`http://${container.getHost()}:${container.getMappedPort(PORT)}`, resources.move());
}

async function ensureImage({ client, root }: ContainerEngine): Promise<void> {
  const { dockerode } = client.container;
  const images = await dockerode.listImages({ filters: { reference: [IMAGE] } });
  if (images.length > 0) return;
  const [repo, tag] = IMAGE.split(":");
  const tar = spawn("tar", ["-C", root, "-c", "."], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(tar, "close");
  const progress = await dockerode.importImage(tar.stdout, { repo, tag });
  progress.resume();
  await Promise.all([once(progress, "end"), ended]);
  if (tar.exitCode !== 0) throw new Error(`tar ended with ${tar.exitCode}`);
}

/** Programs of the container's own release; those that stay are in the background there, and end with it. */
function treeIn(container: StartedTestContainer): Tree {
  return {
    libraries: "/usr/lib/x86_64-linux-gnu",
    makeFolder: async (path) => exec(container, ["mkdir", path]),
    writeFile: async (path, text) => container.copyContentToContainer([{ content: text, target: path }]),
    run: async (program, ...args) => exec(container, [program, ...args]),
    ceph: async (...args) => exec(container, ["ceph", ...args]),
    start: (program, ...args) => {
      const started = exec(container, ["sh", "-c", 'exec "$@" >/dev/null 2>&1 &', "sh", program, ...args]);
      return { [Symbol.asyncDispose]: async () => void (await started) };
    },
  };
}

async function exec(container: StartedTestContainer, command: string[]): Promise<string> {
  const { exitCode, output } = await container.exec(command);
  if (exitCode !== 0) throw new Error(`${command.join(" ")} ended with ${exitCode}: ${output}`);
  return output;
}
