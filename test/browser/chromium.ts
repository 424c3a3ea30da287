import { existsSync } from "node:fs";
import { chromium } from "playwright-core";
import type { Browser } from "playwright-core";

/** The browser of the distribution: none is downloaded. */
const PATH = "/usr/bin/chromium";

/** Why nothing can be tested here; null: it can. */
export const noBrowser: string | null = existsSync(PATH) ? null : `there is no ${PATH} here (apt-get install chromium)`;

export function openChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: PATH,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}
