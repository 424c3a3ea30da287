// The only script of the dashboard: which theme, and keeping a page up to date by looking again when something has happened. Without it every page is complete, as of when it was loaded.
(() => {
  const THEMES = ["auto", "light", "dark"];
  const EVERY_MS = 5000;
  const SHORTEST_MS = 1000;
  const PROGRESS_MS = 2000;
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

  /** What of a page is kept up to date. */
  const PARTS = ["heading", "open-alerts", "live", "freshness"];

  /** Asks for the page again and takes over what has changed. What one has opened or is at stays as it is. */
  async function refresh(state) {
    const headers = { accept: "text/html", ...(state.tag === null ? {} : { "if-none-match": state.tag }) };
    const response = await fetch(location.href, { headers, cache: "no-store", credentials: "same-origin", redirect: "manual", signal: AbortSignal.timeout(10000) });
    if (response.status === 304) return;
    // The server is there, and does not know who this is any more.
    if (response.type === "opaqueredirect") return void (state.isOver = true);
    if (!response.ok) throw new Error(String(response.status));
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    state.tag = response.headers.get("etag");
    document.title = fresh.title;
    for (const id of PARTS) {
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

  /** Looks now and then, and at once when something is told to have happened; `wait` is when to look next. */
  function keepFresh() {
    const state = { tag: null, failures: 0, since: null, timer: null, busy: false, lookedMs: 0, isOver: false };
    const connection = document.getElementById("connection");
    const wait = (ms) => {
      clearTimeout(state.timer);
      if (!state.isOver) state.timer = setTimeout(look, ms);
    };
    const lookSoon = (ms = SHORTEST_MS) => wait(Math.max(0, state.lookedMs + ms - performance.now()));
    async function look() {
      if (document.hidden || state.busy) return wait(EVERY_MS);
      state.busy = true;
      state.lookedMs = performance.now();
      try {
        await refresh(state);
        if (state.isOver) {
          stopListening();
          return sayOver(connection);
        }
        if (state.failures > 0) connection.textContent = "Connected again.";
        else if (connection.textContent !== "") connection.textContent = "";
        state.failures = 0;
        state.since = null;
        root.classList.remove("offline");
      } catch {
        state.failures++;
        state.since ??= new Date().toISOString().slice(11, 19);
        root.classList.add("offline");
        connection.textContent = `No answer since ${state.since} UTC: what you see is as of then. Trying again by itself.`;
      } finally {
        state.busy = false;
      }
      wait(Math.min(LONGEST_MS, state.failures === 0 ? EVERY_MS : 1000 * 2 ** Math.min(state.failures, 5)));
    }
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) wait(0);
    });
    addEventListener("online", () => wait(0));
    const stopListening = listen(lookSoon);
    wait(EVERY_MS);
  }

  function sayOver(connection) {
    const link = document.createElement("a");
    link.href = `/sign-in?${new URLSearchParams({ next: location.pathname + location.search })}`;
    link.textContent = "Sign in again";
    connection.replaceChildren("Your session is over: what you see is no longer kept up to date. ", link);
    root.classList.add("offline");
  }

  const TOLD = ["run.started", "run.progress", "run.finished", "run.missed", "alert.raised", "alert.acknowledged", "alert.resolved", "exposure.changed", "reset"];

  /** What happens is told by the server as it happens. A page that nobody looks at does not listen: a browser has few connections. Where the stream does not come about, looking now and then is enough. */
  function listen(lookSoon) {
    let [stream, last, retry] = [null, null, null];
    const stop = () => {
      clearTimeout(retry);
      stream?.close();
      stream = null;
    };
    const begin = () => {
      stop();
      stream = new EventSource(`/api/v1/events${last === null ? "" : `?${new URLSearchParams({ after: last })}`}`);
      const told = (event) => {
        if (event.lastEventId !== "") last = event.lastEventId;
        if (event.type === "run.progress") {
          if (document.querySelector(`[data-run="${CSS.escape(JSON.parse(event.data).run)}"]`) !== null) lookSoon(PROGRESS_MS);
        } else if (event.type !== "ready") lookSoon();
        if (event.type === "alert.raised") sayNews(JSON.parse(event.data));
      };
      for (const kind of ["ready", ...TOLD]) stream.addEventListener(kind, told);
      // Again here after an outage, or gone: either way the page as it is now says more.
      stream.addEventListener("open", () => lookSoon());
      stream.addEventListener("error", () => {
        lookSoon();
        // The browser comes back by itself from a lost connection, and not from an answer that says no, as a proxy gives while the server restarts.
        if (stream?.readyState === EventSource.CLOSED) retry = setTimeout(begin, EVERY_MS);
      });
    };
    const onVisibility = () => (document.hidden ? stop() : begin());
    document.addEventListener("visibilitychange", onVisibility);
    onVisibility();
    return () => {
      document.removeEventListener("visibilitychange", onVisibility);
      stop();
    };
  }

  const NEWS_MS = 30000;

  function sayNews({ severity, title }) {
    const news = document.getElementById("news");
    const words = `New alert, ${severity}: ${title}`;
    news.textContent = words;
    setTimeout(() => {
      if (news.textContent === words) news.textContent = "";
    }, NEWS_MS);
  }

  document.addEventListener("DOMContentLoaded", () => {
    offerThemes();
    if (document.getElementById("live") !== null) keepFresh();
  });
})();
