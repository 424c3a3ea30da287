import { lookup } from "node:dns/promises";
import { hostname, networkInterfaces } from "node:os";
import { isLoopback } from "../../domain/loopback.ts";
import type { DrillSegregation } from "../../domain/drill-verdict.ts";

const SOCKET = /^\//;

/**
 * Whether a drill runs on another machine than its source: what hits the one should spare the other. By the address of the source, which says less than one would like: behind another name, a
 * tunnel or a container there may be this very machine. Then, and where nothing is known, it is said so.
 */
export async function findSegregation(source: { readonly url: string; readonly dataDirectory: string | null } | null): Promise<DrillSegregation> {
  const drillHost = hostname();
  if (source === null) return { drillHost, sourceHost: null, sameMachine: null, reason: "the address of the source is not known here" };
  if (source.dataDirectory !== null) return { drillHost, sourceHost: drillHost, sameMachine: true, reason: "the data directory of the source is on this machine" };
  const sourceHost = hostOf(source.url);
  if (sourceHost === null) return { drillHost, sourceHost, sameMachine: null, reason: "the source names no host" };
  if (SOCKET.test(sourceHost) || isLoopback(sourceHost)) return { drillHost, sourceHost, sameMachine: true, reason: "the source is reached without a network" };
  const addresses = await lookup(sourceHost, { all: true }).catch(() => null);
  if (addresses === null) return { drillHost, sourceHost, sameMachine: null, reason: `${sourceHost} could not be looked up` };
  const own = new Set(Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address)));
  const isOwn = addresses.some(({ address }) => own.has(address) || isLoopback(address));
  return { drillHost, sourceHost, sameMachine: isOwn, reason: isOwn ? "the address of the source is one of this machine" : "the address of the source is not one of this machine" };
}

/** What is being protected is here, by what it is. */
export function ofThisMachine(reason: string): DrillSegregation {
  return { drillHost: hostname(), sourceHost: hostname(), sameMachine: true, reason };
}

function hostOf(url: string): string | null {
  const parsed = URL.parse(url.replace(/^(postgres(?:ql)?:\/\/[^@/]*@)\//, "$1localhost/"));
  const host = parsed?.searchParams.get("host") ?? decodeURIComponent(parsed?.hostname ?? "");
  return host === "" ? null : host;
}
