/** The style sheet of report pages: quiet on a screen, light or dark; black on white on paper; rows become lists on a phone. */
export const REPORT_STYLE = `
:root {
  color-scheme: light dark;
  --paper: light-dark(#fcfcfb, #15181c); --card: light-dark(#ffffff, #1b1f24); --ink: light-dark(#22272e, #dde2e8);
  --soft: light-dark(#5d6672, #98a2ae); --rule: light-dark(#e2e5e9, #2b3139); --strong-rule: light-dark(#c3c9d1, #434b56);
  --accent: light-dark(#2f5d8a, #86b3de); --accent-soft: light-dark(#2f5d8a1f, #86b3de29); --good: light-dark(#1d6b45, #86d0a8);
  --good-soft: light-dark(#e4f2ea, #17352a); --fair: light-dark(#7d5700, #e3bd62); --fair-soft: light-dark(#faf0d7, #38301a);
  --bad: light-dark(#a1262d, #f19a96); --bad-soft: light-dark(#fae5e4, #422325); --open: light-dark(#565f6b, #b0b8c2);
  --open-soft: light-dark(#eceef1, #2b3038);
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2.5rem 1.5rem 5rem; background: var(--paper); color: var(--ink); font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%; }
h1, h2, h3, h4 { line-height: 1.25; font-weight: 600; text-wrap: balance; }
h1 { font-size: 1.9rem; letter-spacing: -0.01em; margin: 0.2rem 0 0.8rem; }
h2 { font-size: 1.3rem; margin: 0 0 1rem; }
h3 { font-size: 1.02rem; margin: 2.2rem 0 0.6rem; padding-top: 0.9rem; border-top: 1px solid var(--rule); }
h4 { font-size: 0.9rem; margin: 0 0 0.4rem; }
h1 .dash { color: var(--soft); font-weight: 400; }
.kind { margin: 0; color: var(--accent); font-size: 0.82rem; font-weight: 600; letter-spacing: 0.02em; }
.lead { max-width: 46rem; color: var(--soft); margin: 0 0 2rem; }
.lead .badge { margin-right: 0.5rem; }
section { margin: 3.2rem 0 0; }
h2 .badge { margin-left: 0.4rem; }
section.source { border-top: 2px solid var(--strong-rule); padding-top: 1.6rem; }
code { font: 0.86em/1.4 ui-monospace, "SF Mono", "Cascadia Mono", "Liberation Mono", monospace; overflow-wrap: anywhere; }
q { quotes: "“" "”"; }
ul { margin: 0; padding-left: 1.1rem; } li { margin: 0.15rem 0; } li::marker { color: var(--soft); }
.unknown { color: var(--fair); font-style: italic; } .none, .zero { color: var(--soft); }
.empty { color: var(--soft); margin: 0.6rem 0 1.2rem; } .empty strong { color: var(--ink); font-weight: 600; }

.badge { display: inline-flex; align-items: center; gap: 0.35em; padding: 0.08em 0.6em 0.08em 0.25em; border-radius: 1em; font-size: 0.8rem; font-weight: 600; line-height: 1.5; white-space: nowrap; vertical-align: 0.08em; background: var(--tone-soft); color: var(--tone); }
.badge .sign { display: inline-grid; place-items: center; width: 1.35em; height: 1.35em; border-radius: 50%; background: var(--tone); color: var(--card); font-size: 0.82em; font-weight: 700; }
.badge.good { --tone: var(--good); --tone-soft: var(--good-soft); } .badge.fair { --tone: var(--fair); --tone-soft: var(--fair-soft); }
.badge.bad { --tone: var(--bad); --tone-soft: var(--bad-soft); } .badge.open { --tone: var(--open); --tone-soft: var(--open-soft); }
.badge.bad .sign { border-radius: 0.25em; } .badge.fair .sign { border-radius: 0.25em 50% 50% 50%; }
.badge.open .sign { background: none; color: var(--tone); box-shadow: inset 0 0 0 1.5px var(--tone); }

.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); gap: 0.8rem; margin: 1.2rem 0 1.8rem; }
.tiles.wide { margin-top: 0; grid-template-columns: repeat(auto-fit, minmax(11.5rem, 1fr)); }
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 0.85rem 1rem 0.8rem; }
.tile h4 { color: var(--soft); font-weight: 500; font-size: 0.84rem; }
.tile .value { margin: 0; font-size: 1.35rem; font-weight: 600; line-height: 1.3; } .tile .value .badge { font-size: 0.92rem; }
.tile .note { margin: 0.25rem 0 0; color: var(--soft); font-size: 0.84rem; }

.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 0.7rem 1.6rem; margin: 0 0 1.2rem; }
.facts div { min-width: 0; } .facts dt { color: var(--soft); font-size: 0.8rem; } .facts dd { margin: 0; overflow-wrap: anywhere; }
.facts div:has(code:not(.short)), .facts div:has(dd > time + time) { grid-column: 1 / -1; }

table { width: 100%; border-collapse: collapse; margin: 0.9rem 0 1.6rem; font-size: 0.86rem; line-height: 1.45; }
caption { text-align: left; font-weight: 600; padding: 0 0 0.45rem; }
th { text-align: left; vertical-align: bottom; font-weight: 500; color: var(--soft); font-size: 0.8rem; border-bottom: 1px solid var(--strong-rule); padding: 0.3rem 0.7rem 0.35rem 0; }
td { vertical-align: top; border-bottom: 1px solid var(--rule); padding: 0.42rem 0.7rem 0.42rem 0; overflow-wrap: break-word; }
th:last-child, td:last-child { padding-right: 0; }
.figure { text-align: right; white-space: nowrap; } .figure + .words { padding-left: 0.9rem; } td time { white-space: nowrap; } td b { font-weight: 600; }

.copy { margin: 0.9rem 0 1.4rem; } .copy h4 .badge, .copy h4 .none { margin-left: 0.5rem; font-weight: 400; } .copy h4 .badge { font-weight: 600; }
figure { margin: 0; } .plot { position: relative; height: 6.5rem; border-bottom: 1px solid var(--strong-rule); background: var(--card); }
.plot svg { display: block; width: 100%; height: 100%; overflow: visible; }
.plot path { vector-effect: non-scaling-stroke; fill: none; }
.plot .line { stroke: var(--accent); stroke-width: 1.5; stroke-linejoin: round; } .plot .area { fill: var(--accent-soft); }
.plot .objective { stroke: var(--bad); stroke-width: 1; stroke-dasharray: 5 4; } .plot .unobserved { fill: var(--open-soft); }
.plot .lettering { position: absolute; inset: 0; } .objective-label { font-size: 0.74rem; fill: var(--bad); }
.axis { display: flex; justify-content: space-between; color: var(--soft); font-size: 0.74rem; padding-top: 0.25rem; }

@media (max-width: 46rem) {
  body { padding: 1.4rem 1rem 3rem; } h1 { font-size: 1.45rem; }
  table, tbody, caption { display: block; } thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { display: block; border: 1px solid var(--rule); border-radius: 10px; background: var(--card); padding: 0.35rem 0.8rem; margin: 0 0 0.6rem; }
  td { display: grid; grid-template-columns: minmax(6.5rem, 38%) 1fr; gap: 0.6rem; padding: 0.22rem 0; border: 0; text-align: left; white-space: normal; }
  td.figure { text-align: left; white-space: normal; } td.figure + td.words { padding-left: 0; }
  td::before { content: attr(data-label); color: var(--soft); font-size: 0.8rem; } td > span { min-width: 0; overflow-wrap: anywhere; } td time { white-space: normal; }
  td:has(> span > .none:only-child), td:has(> span:empty) { display: none; }
  .facts { grid-template-columns: 1fr 1fr; }
}
@media print {
  @page { margin: 16mm 14mm; }
  :root { --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --rule: #ccc; --strong-rule: #888; --accent: #1d4a75; --accent-soft: #e3ebf3; --good: #14532d; --good-soft: #fff; --fair: #5c4000; --fair-soft: #fff; --bad: #7f1d1d; --bad-soft: #fff; --open: #333; --open-soft: #e8e8e8; }
  body { padding: 0; max-width: none; font-size: 9.5pt; } section { margin-top: 1.6rem; } h2 .badge { margin-left: 0.4rem; }
section.source { break-before: page; }
  h2, h3, h4, caption { break-after: avoid; } tr, .tile, .copy { break-inside: avoid; } thead { display: table-header-group; }
  table { font-size: 8pt; } .badge { padding-left: 0; font-size: 8.5pt; } .badge, .plot .unobserved, .plot .area { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
`;
