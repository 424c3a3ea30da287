import { createTransport } from "nodemailer";
import { codeOf } from "../errors.ts";
import type { ChannelRoute } from "../domain/alert-routing.ts";
import { DeliveryError, headline, shortened } from "./channel.ts";
import type { Channel, Notice } from "./channel.ts";

/** E-mail, through a server that takes it. */
export interface EmailOptions extends Omit<ChannelRoute, "kind"> {
  /** `smtp://user:password@host:587` or `smtps://…`: the secret. */
  readonly smtp: () => Promise<string>;
  readonly to: readonly string[];
  readonly from: string;
}

const MOST_NOTICES = 100;
const TIMEOUT_MS = 15_000;
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

export function email({ name, severities, smtp, to, from }: EmailOptions): Channel {
  return {
    name,
    kind: "email",
    severities,
    most: MOST_NOTICES,
    send: async (notices) => {
      const url = await smtp();
      if (!URL.canParse(url) || !/^smtps?:$/.test(new URL(url).protocol)) throw new DeliveryError("its address is not smtp://… or smtps://…");
      await send(url, { from, to: [...to], subject: subjectOf(notices), text: textOf(notices), headers: { "Auto-Submitted": "auto-generated" } });
    },
  };
}

interface Message {
  readonly from: string;
  readonly to: string[];
  readonly subject: string;
  readonly text: string;
  readonly headers: Record<string, string>;
}

async function send(url: string, message: Message): Promise<void> {
  const { username, hostname, protocol } = new URL(url);
  // A password goes over the network only encrypted.
  const requireTLS = protocol === "smtp:" && username !== "" && !LOOPBACK.test(hostname);
  const transport = createTransport({
    url,
    connectionTimeout: TIMEOUT_MS,
    greetingTimeout: TIMEOUT_MS,
    socketTimeout: TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
    requireTLS,
  });
  try {
    const { rejected } = await transport.sendMail(message);
    if (rejected.length > 0) throw new DeliveryError(`${rejected.length} of ${message.to.length} addresses were refused`, { refused: true });
  } catch (error) {
    if (error instanceof DeliveryError) throw error;
    throw new DeliveryError(whatWentWrong(error), { refused: isRefusal(error), cause: error });
  } finally {
    transport.close();
  }
}

function subjectOf(notices: readonly Notice[]): string {
  const [first, ...rest] = notices;
  if (first === undefined) return "Holdfast";
  return shortened(`Holdfast: ${headline(first)}${rest.length === 0 ? "" : `, and ${rest.length} more`}`, 200);
}

function textOf(notices: readonly Notice[]): string {
  const blocks = notices.map((notice) => {
    const { id, since, whatToDo } = notice.alert;
    if (notice.event !== "raised") return headline(notice);
    return `${headline(notice)}\n  since ${since}\n  ${whatToDo}\n  holdfast alert ack ${id}`;
  });
  return `${blocks.join("\n\n")}\n`;
}

/** In our words and codes: what a server says may repeat what it was told. */
function whatWentWrong(error: unknown): string {
  const answer = responseCode(error);
  return `${codeOf(error) ?? "no connection"}${answer === null ? "" : `, answered ${answer}`}`;
}

/** A message that the server will never take; what it refuses for now (4xx), or of whom it says it to (login), is another matter. */
function isRefusal(error: unknown): boolean {
  return (responseCode(error) ?? 0) >= 550 && codeOf(error) !== "EAUTH";
}

function responseCode(error: unknown): number | null {
  return typeof error === "object" && error !== null && "responseCode" in error && typeof error.responseCode === "number" ? error.responseCode : null;
}
