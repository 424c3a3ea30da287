import { html } from "../../compliance/html.ts";
import { mayDo } from "../../domain/access.ts";
import type { Page } from "../page.ts";
import type { Who } from "../view.ts";

/** For somebody who is known, and may not have this page: why, and whom to ask. */
export function refusedPage(who: Who | null): Page {
  const sees = who !== null && mayDo(who.role, "look");
  return {
    title: "Not for you",
    still: html`<p class="lead">
        ${who === null ? "This page is not for you." : html`You are signed in as <strong>${who.name}</strong>, with the role <strong>${who.role}</strong>. That role may not open this page${sees ? "" : ", nor any other here"}.`}
      </p>
      <p>
        ${sees ? "The audit log is for auditors and administrators." : "Pages are for the roles viewer, auditor, operator and admin."} Whoever runs Holdfast gives them:
        <code>holdfast token add --role …</code>, or a group of your sign-in service.
      </p>
      ${sees ? html`<p><a href="/">To the overview</a></p>` : html`<p><a href="/sign-in">Sign in as somebody else</a></p>`}`,
  };
}
