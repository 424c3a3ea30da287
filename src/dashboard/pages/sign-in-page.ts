import { html, NOTHING } from "../../compliance/html.ts";
import type { Html } from "../../compliance/html.ts";
import type { Page } from "../page.ts";
import type { View } from "../view.ts";

/** For whoever is not known yet. What is pasted goes into a cookie that no script reads; the token itself is not kept. */
export function signInPage({ query }: Pick<View, "query">, { hasService }: { hasService: boolean }): Page {
  const next = query["next"];
  return {
    title: "Sign in",
    shape: "sign-in-page",
    still: html`<div class="sign-in">
      ${refusal(query["refused"])}
      ${
        hasService
          ? html`<p>
                <a class="button primary" href="/sign-in/oidc${next === undefined ? "" : `?${new URLSearchParams({ next }).toString()}`}"
                  >Sign in with your organisation’s account</a
                >
              </p>
              <p class="or"><span>or with a token</span></p>`
          : NOTHING
      }
      <form method="post" action="/sign-in">
        ${next === undefined ? NOTHING : html`<input type="hidden" name="next" value="${next}" />`}
        <label for="token">Token</label>
        <input
          id="token"
          name="token"
          type="password"
          autocomplete="off"
          spellcheck="false"
          required
          maxlength="200"
          aria-describedby="token-hint"
          ${hasService ? "" : html`autofocus`}
        />
        <p class="note" id="token-hint">It begins with <code>hf_</code>. Whoever runs Holdfast here makes one: <code>holdfast token add --role viewer</code></p>
        <button type="submit" ${hasService ? "" : html`class="primary"`}>Sign in</button>
      </form>
    </div>`,
  };
}

function refusal(refused: string | undefined): Html {
  if (refused === undefined) return NOTHING;
  const why =
    refused === "2"
      ? "The sign-in service did not let you in, or you are in no group that may look here."
      : "That token does not open anything here. Is it written out in full, and still valid?";
  return html`<p class="refusal" role="alert">${why}</p>`;
}
