import { html, NOTHING } from "../../compliance/html.ts";
import type { Page } from "../page.ts";
import type { View } from "../view.ts";

/** For whoever is not known yet. What is pasted goes into a cookie that no script reads; the token itself is not kept. */
export function signInPage({ query }: Pick<View, "query">, { hasService }: { hasService: boolean }): Page {
  const why =
    query["refused"] === "2"
      ? "The sign-in service did not let you in, or you are in no group that may look here."
      : "That token does not open anything here. Is it written out in full, and still valid?";
  const refused = query["refused"] === undefined ? NOTHING : html`<p role="alert">${why}</p>`;
  return {
    title: "Sign in",
    still: html`${refused} ${hasService ? html`<p><a href="/sign-in/oidc">Sign in with your organisation's account</a></p>` : NOTHING}
      <form method="post" action="/sign-in">
        <p><label for="token">Token</label> <input id="token" name="token" type="password" autocomplete="off" required size="64" maxlength="200" /></p>
        <p><button type="submit">Sign in</button></p>
      </form>`,
    live: html`<p>Whoever runs Holdfast on this host makes one: <code>holdfast token add --role viewer</code></p>`,
  };
}
