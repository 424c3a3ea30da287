/** With TLS the name makes browsers hold on to it: only over TLS, only for this host, only set by it. */
const NAMES = { plain: "holdfast-session", secure: "__Host-holdfast-session" } as const;

/** `Set-Cookie` that opens a session in a browser; no script reads it, and no other site's requests but visits bring it along. */
export function sessionCookie(value: string, { secure, seconds }: { secure: boolean; seconds: number }): string {
  return `${secure ? NAMES.secure : NAMES.plain}=${value}; Path=/; HttpOnly; SameSite=Lax; Max-Age=${seconds}${secure ? "; Secure" : ""}`;
}

/** What a browser sent back of it; null: nothing. */
export function readSessionCookie(header: string | undefined): string | null {
  return readCookie(header, NAMES.secure) ?? readCookie(header, NAMES.plain);
}

export function readCookie(header: string | undefined, name: string): string | null {
  const found = (header ?? "").split(";").find((pair) => pair.trimStart().startsWith(`${name}=`));
  return found === undefined ? null : found.slice(found.indexOf("=") + 1).trim();
}
