import type { FastifyRequest } from "fastify";
import { isLoopback } from "../domain/loopback.ts";
import { HoldfastError } from "../errors.ts";
import { whyNotServed } from "../policy/api-section.ts";
import type { ApiConfig } from "../policy/types.ts";
import { ApiProblem } from "./problem.ts";

/** What the inventory refuses when it is read, refused once more before anything listens. */
export function requireServable(api: ApiConfig): void {
  const why = whyNotServed(api);
  if (why !== null) throw new HoldfastError("HF-CONFIG", `api: ${why.message}`, { hint: why.hint, facts: { host: api.host } });
}

/**
 * A page in a browser on this machine can send requests here under a name of its own that it lets resolve to 127.0.0.1 (DNS rebinding), and read the answers.
 * The name then stands in `Host`: a server that only this machine reaches answers only under names of this machine. A proxy in front passes on the name that it is asked for.
 */
export function refuseForeignHost({ host, behindProxy }: ApiConfig, request: FastifyRequest): void {
  if (behindProxy || !isLoopback(host) || isLoopback(request.hostname.replace(/^\[(.*)\]$/, "$1"))) return;
  throw new ApiProblem(421, "this server answers only under a loopback address", { hint: "use http://127.0.0.1 or http://localhost with the port it listens on" });
}
