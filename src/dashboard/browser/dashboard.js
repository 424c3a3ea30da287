// The only script of the dashboard: which theme, and keeping a page up to date. Without it every page is complete, as of when it was loaded.
(() => {
  const THEMES = ["auto", "light", "dark"];
  const EVERY_MS = 5000;
  const LONGEST_MS = 30000;
  const root = document.documentElement;

  function storedTheme() {
    try {
      const theme = localStorage.getItem("theme");
      return theme !== null && THEMES.includes(theme) ? theme : "auto";
    } catch {
      // A browser that keeps nothing for us shows what the system asks for.
      return "auto";
    }
  }

  function applyTheme(theme) {
    if (theme === "auto") root.removeAttribute("data-theme");
    else root.dataset.theme = theme;
  }

  // Before anything is drawn: nothing flashes.
  let theme = storedTheme();
  applyTheme(theme);

  function offerThemes() {
    const button = document.getElementById("theme");
    const show = () => {
      button.textContent = `Theme: ${theme}`;
    };
    button.addEventListener("click", () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      applyTheme(theme);
      show();
      try {
        localStorage.setItem("theme", theme);
      } catch {
        // Then it holds for this page only.
      }
    });
    show();
    button.hidden = false;
  }

  /** Asks for the page again and takes over what is in its live part. What one has opened or is at stays as it is. */
  async function refresh(state) {
    const headers = state.tag === null ? {} : { "if-none-match": state.tag };
    const response = await fetch(location.href, { headers, cache: "no-store", credentials: "same-origin", redirect: "error", signal: AbortSignal.timeout(10000) });
    if (response.status === 304) return;
    if (!response.ok) throw new Error(String(response.status));
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    state.tag = response.headers.get("etag");
    for (const id of ["live", "freshness"]) {
      const [old, now] = [document.getElementById(id), fresh.getElementById(id)];
      if (old === null || now === null || old.innerHTML === now.innerHTML) continue;
      const focused = old.contains(document.activeElement) ? pathTo(document.activeElement, old) : null;
      const open = [...old.querySelectorAll("details[open]")].map((details) => pathTo(details, old));
      old.replaceChildren(...now.childNodes);
      for (const path of open) follow(path, old)?.setAttribute("open", "");
      if (focused !== null) follow(focused, old)?.focus({ preventScroll: true });
    }
  }

  function pathTo(element, from) {
    const path = [];
    for (let at = element; at !== from; at = at.parentElement) path.unshift([...at.parentElement.children].indexOf(at));
    return path;
  }

  function follow(path, from) {
    return path.reduce((at, index) => at?.children[index], from);
  }

  function keepFresh() {
    const state = { tag: null, failures: 0, since: null, timer: null, busy: false };
    const connection = document.getElementById("connection");
    const wait = (ms) => {
      clearTimeout(state.timer);
      state.timer = setTimeout(look, ms);
    };
    async function look() {
      if (document.hidden || state.busy) return wait(EVERY_MS);
      state.busy = true;
      try {
        await refresh(state);
        if (state.failures > 0) connection.textContent = "Connected again.";
        else if (connection.textContent !== "") connection.textContent = "";
        state.failures = 0;
        state.since = null;
        root.classList.remove("offline");
      } catch {
        state.failures++;
        state.since ??= new Date().toISOString().slice(11, 19);
        root.classList.add("offline");
        connection.textContent = `No answer since ${state.since}: what you see is as of then. Trying again by itself.`;
      } finally {
        state.busy = false;
      }
      wait(Math.min(LONGEST_MS, state.failures === 0 ? EVERY_MS : 1000 * 2 ** Math.min(state.failures, 5)));
    }
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) wait(0);
    });
    addEventListener("online", () => wait(0));
    wait(EVERY_MS);
  }

  document.addEventListener("DOMContentLoaded", () => {
    offerThemes();
    if (document.getElementById("live") !== null) keepFresh();
  });
})();
