import type { ChannelRoute } from "../domain/alert-routing.ts";
import { headline, shortened } from "./channel.ts";
import type { Channel, Notice } from "./channel.ts";
import { postJson } from "./http-post.ts";

/** A channel of Slack, through an incoming webhook. Its address is the secret. */
export interface SlackOptions extends Omit<ChannelRoute, "kind"> {
  readonly url: () => Promise<string>;
}

/** One message for many: a storm is to be read, and Slack takes about one a second. */
const MOST_NOTICES = 20;
/** Slack shows a text in one piece up to here. */
const MOST_CHARACTERS = 4000;

export function slack({ name, severities, url }: SlackOptions): Channel {
  return {
    name,
    kind: "slack",
    severities,
    most: MOST_NOTICES,
    send: async (notices, signal) => postJson({ url: await url(), body: JSON.stringify({ text: textOf(notices) }) }, signal),
  };
}

function textOf(notices: readonly Notice[]): string {
  const blocks = notices.map((notice) => {
    const line = `*${escaped(headline(notice))}*`;
    return notice.event === "raised" && notices.length <= 3 ? `${line}\n${escaped(notice.alert.whatToDo)}\n\`holdfast alert ack ${notice.alert.id}\`` : line;
  });
  return shortened(blocks.join("\n"), MOST_CHARACTERS);
}

/** What Slack would read as a link, a name or a call to everybody is text. */
function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
