import {
  authorizationCodeGrant,
  allowInsecureRequests,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  discovery,
  fetchUserInfo,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
} from "openid-client";
import type { Configuration } from "openid-client";
import type { Clock } from "../clock.ts";
import type { Role } from "../domain/access.ts";
import { SIGN_IN_SECONDS } from "./sign-in.ts";
import type { Identity } from "./identity.ts";

/** A sign-in service that speaks OpenID Connect: who somebody is, it says; what they may do, the inventory says by their groups. */
export interface OidcConfig {
  /** Over TLS, or on this machine. */
  readonly issuer: string;
  readonly clientId: string;
  /** Null: a public client, which PKCE alone protects. */
  readonly clientSecret: string | null;
  /** What the service is asked for, such as `openid profile email`. */
  readonly scope: string;
  /** The claim that lists groups. */
  readonly groupsClaim: string;
  readonly groups: ReadonlyMap<string, Role>;
}

interface Pending {
  readonly verifier: string;
  readonly nonce: string;
  readonly redirectUri: string;
  readonly next: string;
  readonly untilMs: number;
}

/** `next`: where whoever it is wanted to go. */
export type OidcResult = { readonly ok: true; readonly identity: Identity; readonly next: string } | { readonly ok: false; readonly why: string };

const MOST_PENDING = 1000;
/** Only for a service on this machine: the inventory takes no other address without TLS. */
// oxlint-disable-next-line typescript/no-deprecated -- marked so to stand out, not to go
const WITHOUT_TLS = { execute: [allowInsecureRequests] };
/** Of several groups, what the strongest may. */
const STRONGEST: readonly Role[] = ["admin", "operator", "auditor", "viewer", "metrics"];

/** The authorization code flow with PKCE, state and nonce. What is under way is kept in memory: a restart asks people to begin again. */
export class OidcSignIn {
  readonly #config: OidcConfig;
  readonly #clock: Clock;
  readonly #pending = new Map<string, Pending>();
  #discovered: Promise<Configuration> | null = null;

  constructor(config: OidcConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
  }

  /** Where the browser is sent, and the state that it must bring back: also in a cookie, so that nobody is signed in as somebody else by a link. */
  async begin(redirectUri: string, next: string): Promise<{ url: string; state: string }> {
    const configuration = await this.#discover();
    const [state, nonce, verifier] = [randomState(), randomNonce(), randomPKCECodeVerifier()];
    this.#remember(state, { nonce, verifier, redirectUri, next, untilMs: this.#clock.monotonicMs() + SIGN_IN_SECONDS * 1000 });
    const url = buildAuthorizationUrl(configuration, {
      redirect_uri: redirectUri,
      scope: this.#config.scope,
      code_challenge: await calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
      state,
      nonce,
    });
    return { url: url.href, state };
  }

  /** `query`: what the service sent the browser back with; `cookie`: the state that the browser holds. */
  async finish(query: string, cookie: string | null): Promise<OidcResult> {
    const state = new URLSearchParams(query).get("state");
    const pending = state === null ? undefined : this.#pending.get(state);
    if (state === null || pending === undefined || cookie !== state || pending.untilMs < this.#clock.monotonicMs()) return { ok: false, why: "not begun here" };
    this.#pending.delete(state);
    const configuration = await this.#discover();
    const current = new URL(pending.redirectUri);
    current.search = query;
    const tokens = await authorizationCodeGrant(configuration, current, {
      pkceCodeVerifier: pending.verifier,
      expectedState: state,
      expectedNonce: pending.nonce,
      idTokenExpected: true,
    }).catch(() => null);
    const claims = tokens?.claims();
    if (tokens === null || claims === undefined) return { ok: false, why: "the service did not confirm it" };
    const { groupsClaim } = this.#config;
    const all = groupsClaim in claims ? claims : { ...claims, ...(await fetchUserInfo(configuration, tokens.access_token, claims.sub)) };
    return this.#identityOf(claims.sub, all, pending.next);
  }

  #identityOf(subject: string, claims: Readonly<Record<string, unknown>>, next: string): OidcResult {
    const groups: unknown = claims[this.#config.groupsClaim];
    const roles = (Array.isArray(groups) ? groups : []).map((group) => this.#config.groups.get(String(group)));
    const role = STRONGEST.find((candidate) => roles.includes(candidate));
    if (role === undefined) return { ok: false, why: "of no group that may" };
    const name = [claims["email"], claims["preferred_username"], claims["name"], subject].find((text): text is string => typeof text === "string" && text !== "") ?? subject;
    return { ok: true, next, identity: { kind: "person", id: subject, name: name.replaceAll(/\p{Cc}/gu, "").slice(0, 100), role, scope: null } };
  }

  #remember(state: string, pending: Pending): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [key, { untilMs }] of this.#pending) if (untilMs < nowMs || this.#pending.size >= MOST_PENDING) this.#pending.delete(key);
    this.#pending.set(state, pending);
  }

  /** Asked for once; where the service is away, the next one who wants to sign in asks again. */
  async #discover(): Promise<Configuration> {
    const { issuer, clientId, clientSecret } = this.#config;
    if (this.#discovered === null) {
      const pending = discovery(new URL(issuer), clientId, clientSecret ?? undefined, undefined, issuer.startsWith("http://") ? WITHOUT_TLS : undefined);
      this.#discovered = pending;
      pending.catch(() => (this.#discovered = null));
    }
    return this.#discovered;
  }
}
