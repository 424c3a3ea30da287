import { isIPv4 } from "node:net";
import type { FastifyRequest } from "fastify";
import { HoldfastError } from "../errors.ts";
import { ApiProblem } from "./problem.ts";

/** Until requests carry tokens, whoever can reach the server may read everything: so only this machine can reach it. */
export function requireLoopback(host: string): void {
  if (isLoopback(host)) return;
  throw new HoldfastError("HF-CONFIG", `the API answers without a password and must not listen on ${host}`, {
    hint: "set 'api.listen' to a loopback address (127.0.0.1:8420) and reach it from elsewhere through a tunnel: ssh -L 8420:127.0.0.1:8420 …",
    facts: { host },
  });
}

/**
 * A page in a browser on this machine can send requests here under a name of its own that it lets resolve to 127.0.0.1 (DNS rebinding), and read the answers.
 * The name then stands in `Host`: only names of this machine are served.
 */
export function refuseForeignHost(request: FastifyRequest): void {
  const host = request.hostname.replace(/^\[(.*)\]$/, "$1");
  if (isLoopback(host)) return;
  throw new ApiProblem(421, "this server answers only under a loopback address", { hint: "use http://127.0.0.1 or http://localhost with the port it listens on" });
}

function isLoopback(host: string): boolean {
  const address = host.toLowerCase().replace(/^::ffff:/, "");
  return address === "localhost" || address === "::1" || (isIPv4(address) && address.startsWith("127."));
}
