// SPDX-License-Identifier: MIT
// What every page must be, whatever the screen: returns what is wrong, a line each.  Run in the page by tests/28-nxref-page.sh.
const wrong = [], say = (what, e) => wrong.push(what + ": " + (e.outerHTML || e).slice(0, 90));
const all = [...document.body.querySelectorAll("*")];
if (document.documentElement.scrollWidth > innerWidth) say("scrolls sideways", document.documentElement.scrollWidth + " > " + innerWidth);
for (const e of all) {
  const r = e.getBoundingClientRect();
  if (r.width && (r.right > innerWidth + 0.5 || r.left < -0.5)) say("sticks out", e);
  if (e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display != "inline" && !(e instanceof SVGElement)) say("overflows", e);
}
// Contrast as WCAG 2.2 computes it (success criterion 1.4.3).
const rgb = c => c.match(/[\d.]+/g).map(Number);
const light = c => { const [r, g, b] = rgb(c).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] == 1) return getComputedStyle(e).backgroundColor; if (c[3]) return "rgb(128,128,128)"; } return "rgb(255,255,255)"; };
let texts = 0;
for (const e of all) {
  if (![...e.childNodes].some(n => n.nodeType == 3 && n.data.trim())) continue;
  const s = getComputedStyle(e), a = light(s.color), b = light(ground(e));
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  texts++;
  if (ratio < 4.5) say("contrast " + ratio.toFixed(2), e);
}
if (texts < 20) say("few texts", String(texts));
for (const a of document.querySelectorAll("a.run, nav a")) if (a.getBoundingClientRect().height < 24) say("hard to hit", a);
for (const a of document.querySelectorAll("a.run")) if (a.getBoundingClientRect().height < 44) say("hard to hit", a);
for (const i of document.images) if (!i.complete || !i.naturalWidth || !i.alt) say("no picture or no words for it", i);
// Structure.
if (document.documentElement.lang != "en") say("no language", "");
if (document.compatMode != "CSS1Compat") say("quirks mode", "");
for (const t of ["h1", "header", "main", "footer", "title"]) if (document.querySelectorAll(t).length != 1) say("not one", t);
let level = 1;
for (const h of document.querySelectorAll("h1, h2, h3, h4")) { const n = +h.tagName[1]; if (n > level + 1) say("a level is left out", h); level = n; }
const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
if (new Set(ids).size != ids.length) say("not unique", ids.join());
for (const e of document.querySelectorAll("[aria-labelledby]")) if (!document.getElementById(e.getAttribute("aria-labelledby"))) say("no label", e);
for (const a of document.links) if (a.hash && a.href.startsWith(location.href.split("#")[0]) && !document.querySelector(a.hash)) say("leads nowhere", a);
// What is seen of a link is part of what is heard (2.5.3).
for (const a of document.querySelectorAll("a[aria-label]")) if (!a.getAttribute("aria-label").includes(a.textContent)) say("is called otherwise", a);
if (document.scripts.length || window.pwned) say("a script", "");
return wrong.join("\n");
