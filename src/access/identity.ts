import type { Role, Scope } from "../domain/access.ts";

/** Who somebody is to Holdfast. */
export interface Identity {
  readonly kind: "token" | "person" | "certificate" | "demo";
  /** Of the token; else what the certificate or the sign-in service calls them. */
  readonly id: string;
  /** What people call it; stands in the audit log. */
  readonly name: string;
  readonly role: Role;
  readonly scope: Scope;
}
