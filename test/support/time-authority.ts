import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { execa } from "execa";

/** A time-stamp authority of our own: `openssl ts` with a certificate of its own root, behind HTTP as real ones are. */
export class TimeAuthority implements AsyncDisposable {
  readonly url: string;
  /** PEM, of who vouches for it. */
  readonly rootFile: string;
  /** How often it was asked. */
  asked = 0;
  /** What it answers instead of a stamp, where somebody wants that. */
  instead: ((question: Buffer) => Promise<{ status: number; body: Buffer }>) | null = null;
  readonly #folder: string;
  readonly #close: () => Promise<void>;

  private constructor(folder: string, url: string, close: () => Promise<void>) {
    this.#folder = folder;
    this.url = url;
    this.rootFile = path.join(folder, "root.pem");
    this.#close = close;
  }

  /** `use`: the extended use in its certificate. */
  static async start(folder: string, { use = "critical,timeStamping" }: { use?: string } = {}): Promise<TimeAuthority> {
    await makeCertificates(folder, use);
    const server = createServer((request, response) => {
      void (async () => {
        const chunks: Buffer[] = [];
        for await (const chunk of request) chunks.push(chunk as Buffer);
        const { status, body } = await authority.answer(Buffer.concat(chunks));
        response.writeHead(status, { "content-type": "application/timestamp-reply" }).end(body);
      })();
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const { port } = server.address() as AddressInfo;
    const authority = new TimeAuthority(folder, `http://127.0.0.1:${port}/tsr`, async () => {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    });
    return authority;
  }

  async answer(question: Buffer): Promise<{ status: number; body: Buffer }> {
    this.asked++;
    if (this.instead !== null) return this.instead(question);
    return { status: 200, body: await this.stamp(question) };
  }

  /** What it says to a question. */
  async stamp(question: Buffer): Promise<Buffer> {
    const [query, reply] = ["question.tsq", "answer.tsr"].map((name) => path.join(this.#folder, `${this.asked}-${name}`)) as [string, string];
    await writeFile(query, question);
    await execa("openssl", ["ts", "-reply", "-config", path.join(this.#folder, "ts.cnf"), "-queryfile", query, "-out", reply]);
    return readFile(reply);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }
}

async function makeCertificates(folder: string, use: string): Promise<void> {
  const at = (name: string): string => path.join(folder, name);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  await execa("openssl", ["req", "-x509", ...key, "-keyout", at("root.key"), "-out", at("root.pem"), "-subj", "/CN=Root of the test", "-days", "30"]);
  await execa("openssl", ["req", ...key, "-keyout", at("tsa.key"), "-out", at("tsa.csr"), "-subj", "/CN=Authority of the test"]);
  await writeFile(at("tsa.ext"), `extendedKeyUsage=${use}\nkeyUsage=critical,digitalSignature\n`);
  await execa("openssl", [
    "x509",
    "-req",
    "-in",
    at("tsa.csr"),
    "-CA",
    at("root.pem"),
    "-CAkey",
    at("root.key"),
    "-CAcreateserial",
    "-out",
    at("tsa.pem"),
    "-days",
    "20",
    "-extfile",
    at("tsa.ext"),
  ]);
  const config = {
    serial: at("serial"),
    signer_cert: at("tsa.pem"),
    certs: at("root.pem"),
    signer_key: at("tsa.key"),
    signer_digest: "sha256",
    default_policy: "1.2.3.4.1",
    digests: "sha256",
    accuracy: "secs:1",
    ess_cert_id_alg: "sha256",
  };
  const lines = Object.entries(config).map(([name, value]) => `${name} = ${value}`);
  await writeFile(at("ts.cnf"), `[tsa]\ndefault_tsa = ours\n[ours]\n${lines.join("\n")}\n`);
}
