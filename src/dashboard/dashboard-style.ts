/** What the dashboard adds to the style of reports. No colours of its own but by the names that reports have: light and dark are decided in one place. */
export const DASHBOARD_STYLE = `
:root[data-theme="light"] { color-scheme: light; } :root[data-theme="dark"] { color-scheme: dark; }
body { padding: 0 0 2rem; max-width: none; display: flex; flex-direction: column; min-height: 100vh; }
main { width: 100%; max-width: 82rem; margin: 0 auto; padding: 1.6rem 1.5rem 3rem; flex: 1; outline: none; }
h1 { font-size: 1.55rem; margin: 0.2rem 0 1.1rem; } h1 .badge { vertical-align: 0.22em; margin-left: 0.4rem; } h2 { font-size: 1.12rem; margin: 0 0 0.7rem; }
section { margin: 2.4rem 0 0; } a { color: var(--accent); text-decoration: underline; text-decoration-thickness: 1px; text-underline-offset: 0.15em; text-decoration-color: color-mix(in srgb, currentColor 40%, transparent); }
a:hover { text-decoration-color: currentColor; } :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
.skip { position: absolute; left: -99rem; } .skip:focus { left: 0.5rem; top: 0.5rem; background: var(--card); padding: 0.5rem 1rem; z-index: 2; }

.bar { display: flex; align-items: center; gap: 0.4rem 1.6rem; flex-wrap: wrap; padding: 0.65rem 1.5rem; background: var(--card); border-bottom: 1px solid var(--rule); }
.bar nav { display: flex; gap: 0.2rem; flex: 1; flex-wrap: wrap; } .bar nav a { padding: 0.28rem 0.7rem; border-radius: 6px; color: var(--soft); text-decoration: none; font-size: 0.92rem; }
.bar nav a:hover { color: var(--ink); background: var(--open-soft); } .bar nav a[aria-current] { color: var(--ink); background: var(--accent-soft); font-weight: 600; }
.who { display: inline-flex; align-items: center; gap: 0.6rem; margin: 0; font-size: 0.86rem; color: var(--ink); } .space { flex: 1; } .spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.open-alerts { display: inline-block; min-width: 1.3em; padding: 0 0.35em; border-radius: 1em; background: var(--bad-soft); color: var(--bad); font-size: 0.8rem; font-weight: 600; text-align: center; position: relative; }
.sign-in-page { max-width: 30rem; } .sign-in > :first-child { margin-top: 0; } .sign-in { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 1.4rem 1.5rem 1.5rem; } .sign-in form { display: grid; gap: 0.45rem; } .sign-in input { min-height: 2.5rem; width: 100%; } .sign-in label { font-weight: 600; } .sign-in .note { margin: 0 0 0.5rem; color: var(--soft); font-size: 0.84rem; } .sign-in button, .button { min-height: 2.5rem; font-weight: 600; text-align: center; }
.button { display: block; border: 1px solid var(--strong-rule); border-radius: 6px; padding: 0.5rem 0.8rem; text-decoration: none; color: var(--ink); font-size: 0.9rem; } .primary { background: var(--accent); border-color: var(--accent); color: var(--card); } .primary:hover { background: var(--accent); filter: brightness(1.08); }
.or { display: flex; align-items: center; gap: 0.8rem; color: var(--soft); font-size: 0.84rem; margin: 1rem 0; } .or::before, .or::after { content: ""; flex: 1; border-top: 1px solid var(--rule); } .refusal { background: var(--bad-soft); color: var(--bad); border-radius: 8px; padding: 0.6rem 0.9rem; margin: 0 0 1.1rem; }
.brand { display: inline-flex; align-items: center; gap: 0.45rem; font-weight: 650; color: var(--ink); text-decoration: none; letter-spacing: -0.01em; }
.brand path { fill: var(--accent); } .brand .tick { fill: none; stroke: var(--card); stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
button, select, input { font: inherit; font-size: 0.9rem; color: var(--ink); background: var(--card); border: 1px solid var(--strong-rule); border-radius: 6px; padding: 0.28rem 0.6rem; min-height: 2.1rem; }
button { cursor: pointer; } button:hover { background: var(--open-soft); } #theme { border-color: var(--rule); color: var(--soft); font-size: 0.84rem; min-width: 7.4rem; }
.filter { display: flex; gap: 0.8rem; align-items: end; flex-wrap: wrap; margin: 0 0 1.4rem; } .filter label { display: grid; gap: 0.2rem; font-size: 0.8rem; color: var(--soft); }
.trail { font-size: 0.86rem; color: var(--soft); margin-bottom: 0.3rem; } .trail span { margin: 0 0.45rem; }
.pager, .choices { display: flex; gap: 1rem; align-items: center; font-size: 0.9rem; margin: 0.4rem 0 1.4rem; } .choices a[aria-current] { color: var(--ink); font-weight: 600; text-decoration: none; }
footer { max-width: 82rem; width: 100%; margin: 0 auto; padding: 0 1.5rem; color: var(--soft); font-size: 0.82rem; } footer p { margin: 0.2rem 0; }
#notices { position: fixed; right: 1rem; bottom: 1rem; max-width: min(24rem, calc(100vw - 2rem)); display: grid; gap: 0.5rem; } #notices p { margin: 0; } #notices p:not(:empty) { background: var(--open-soft); color: var(--ink); border: 1px solid var(--strong-rule); padding: 0.6rem 0.9rem; border-radius: 8px; }
.offline #connection:not(:empty), #notices #news:not(:empty) { background: var(--bad-soft); color: var(--bad); border-color: var(--bad); } .offline #live { opacity: 0.75; }
.now { margin: 0 0 1.6rem; } .now table { margin-bottom: 0.4rem; } .far { display: inline-flex; align-items: center; gap: 0.7rem; flex-wrap: wrap; } progress { appearance: none; width: 9rem; height: 6px; border: 0; border-radius: 3px; background: var(--open-soft); overflow: hidden; accent-color: var(--accent); } progress::-webkit-progress-bar { background: var(--open-soft); } progress::-webkit-progress-value { background: var(--accent); } progress::-moz-progress-bar { background: var(--accent); }

.answers { margin: 0 0 1.8rem; } .answers dt { color: var(--soft); font-size: 0.84rem; } .answers dd { margin: 0; } .answers .value { font-size: 1.4rem; font-weight: 600; line-height: 1.35; } .answers .gauge { display: block; margin: 0.25rem 0 0.1rem; }
.answers .of, .of { color: var(--soft); font-weight: 400; font-size: 0.86em; } .answers .of { font-size: 0.62em; } .estimate { color: var(--soft); font-weight: 400; font-size: 0.8em; font-style: italic; } .answers .estimate { font-size: 0.6em; }
.gauge .track { fill: var(--open-soft); } .gauge.good .fill { fill: var(--good); } .gauge.fair .fill { fill: var(--fair); } .gauge.bad .fill { fill: var(--bad); }
.reasons { list-style: none; padding: 0; margin: -0.4rem 0 1.2rem; } .reasons li { padding-left: 1.1rem; position: relative; } .reasons li::before { content: ""; position: absolute; left: 0; top: 0.55em; width: 0.5rem; height: 0.5rem; border-radius: 2px; background: var(--bad); }
.reasons li.unknown { color: inherit; font-style: normal; } .reasons li.unknown::before { background: none; box-shadow: inset 0 0 0 1.5px var(--open); border-radius: 50%; } .reasons li.note::before { background: var(--fair); border-radius: 50%; }
td > span > code:only-child { white-space: nowrap; } .why { display: block; color: var(--soft); font-size: 0.92em; max-width: 26rem; } .sources td { padding-top: 0.5rem; padding-bottom: 0.5rem; } .sources td:nth-child(2) a { font-weight: 600; } td .gauge { display: block; margin-top: 0.2rem; } .sources .measure { white-space: nowrap; }
.spark { display: block; overflow: visible; } .spark path { fill: none; vector-effect: non-scaling-stroke; } .spark .line { stroke: var(--accent); stroke-width: 1.4; } .spark .objective { stroke: var(--rule); stroke-dasharray: 3 3; } .spark.beyond .line { stroke: var(--bad); } .spark.beyond .objective { stroke: var(--strong-rule); }

.chart { display: block; overflow: hidden; } .chart text { font-size: 11.5px; fill: var(--soft); } .chart .grid { stroke: var(--rule); } .chart path { vector-effect: non-scaling-stroke; }
.chart .line { fill: none; stroke: var(--accent); stroke-width: 1.6; } .chart .area { fill: var(--accent-soft); } .chart .objective { fill: none; stroke: var(--bad); stroke-dasharray: 5 4; } .chart .objective-text { fill: var(--bad); }
.chart .unobserved { fill: var(--open-soft); } .chart .worst { fill: var(--accent); } .chart .worst-text { fill: var(--ink); } .chart .row-name { fill: var(--ink); font-weight: 600; font-size: 12px; paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }
.window { fill: var(--accent); opacity: 0.55; } .gap { fill: var(--bad-soft); stroke: var(--bad); stroke-dasharray: 3 2; } .mark { stroke: var(--paper); stroke-width: 1; } .mark.full { fill: var(--ink); } .mark.differential { fill: var(--fair); } .mark.incremental { fill: var(--accent); }
.chart .link { fill: none; stroke: var(--strong-rule); stroke-width: 1.2; } .chart .phase { fill: var(--accent); opacity: 0.8; } .waterfall text { fill: var(--ink); font-size: 12.5px; } .waterfall .on-bar { fill: var(--paper); }
.legend { display: flex; gap: 1.2rem; flex-wrap: wrap; color: var(--soft); font-size: 0.82rem; margin: 0.2rem 0 0; } .legend span { display: inline-flex; align-items: center; gap: 0.35rem; } figcaption { color: var(--soft); font-size: 0.84rem; }
.copy h3 { margin: 1.2rem 0 0.4rem; padding: 0; border: 0; font-size: 0.95rem; }

pre { background: var(--open-soft); border-radius: 8px; padding: 0.7rem 0.9rem; overflow-x: auto; font-size: 0.88rem; margin: 0.5rem 0; } summary { cursor: pointer; }
.first { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 1.2rem 1.5rem 0.6rem; margin: 0 0 2rem; } .first ol { padding-left: 1.3rem; } .first h3 { border: 0; margin: 0.6rem 0 0.2rem; padding: 0; } .first p { margin: 0; color: var(--soft); } .first li.done h3 { color: var(--soft); font-weight: 500; } .first h3 .badge { margin-left: 0.4rem; }
.report header { display: none; } .report > section:first-child { margin-top: 1rem; }

@media (max-width: 46rem) {
  main { padding: 1rem 1rem 2rem; } .bar { padding: 0.6rem 1rem; } .bar { gap: 0.4rem 0.8rem; } .bar > span.who { display: none; } form.who { order: 2; flex-basis: 100%; justify-content: space-between; } #theme { min-width: 0; } .bar nav { order: 3; flex-basis: 100%; overflow-x: auto; flex-wrap: nowrap; margin: 0 -0.4rem; } .bar nav a { white-space: nowrap; } .brand { flex: 1; }
  h1 { font-size: 1.3rem; } .tiles { grid-template-columns: 1fr 1fr; gap: 0.6rem; } .answers .value { font-size: 1.1rem; } .why { max-width: none; } .sources td:nth-child(2) { order: -1; } .filter label { flex: 1 1 40%; } .filter input, .filter select { width: 100%; }
}
@media (max-width: 24rem) { .tiles { grid-template-columns: 1fr; } }
@media (prefers-reduced-motion: no-preference) { #live { transition: opacity 0.3s; } }
@media print { .bar nav, #theme, .filter, .pager, .choices, .skip, #notices, .bar .who, .take-along { display: none !important; } .bar { border: 0; padding: 0; } main, footer { padding: 0; max-width: none; } body { display: block; } pre { white-space: pre-wrap; } .answers { grid-template-columns: repeat(4, 1fr); } td a code { white-space: nowrap; } .sources td:nth-child(2) { min-width: 11rem; } .sources .measure { white-space: normal; } .chart .area, .chart .unobserved, .gauge, .window, .gap, .mark, .reasons li::before, progress { -webkit-print-color-adjust: exact; print-color-adjust: exact; } }
`;
