// SPDX-License-Identifier: MIT
// The page of nxfetch status --web: asks for status.json once a second and draws it.
"use strict";

const POLL_MS = 1000;
const HISTORY = 120; // rates that the graph has room for
const STATES = ["empty", "absent", "cached", "ahead", "read", "awaited"];
const MEANINGS = {
    absent: "not here yet",
    cached: "was here before",
    ahead: "fetched ahead, not read yet",
    read: "read, and here in time",
    awaited: "read, and waited for",
};
const STATE_WORDS = {
    connecting: "connecting",
    starting: "booting",
    running: "running",
    waiting: "waiting for the network",
    fetching: "fetching",
    ended: "ended",
};

const byId = (id) => document.getElementById(id);
let machines = [];
let chosen = null; // pid
const histories = new Map(); // pid: rates

// ---- figures ----

function bytes(n) {
    const units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let unit = 0;
    for (; n >= 1024 && unit < units.length - 1; unit++)
        n /= 1024;
    return unit ? `${n.toFixed(1)} ${units[unit]}` : `${Math.round(n)} bytes`;
}

// All is 100 %, and less is not.
const percent = (share) => (share === null || share === undefined ? "–" : `${Math.floor(share * 100)} %`);

function duration(seconds) {
    const s = Math.floor(seconds);
    const two = (n) => String(n).padStart(2, "0");
    return `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

function show(id, text) {
    if (byId(id).textContent !== text)
        byId(id).textContent = text;
}

// ---- drawing ----

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function palette() {
    return Object.fromEntries([...STATES.slice(1), "line", "quiet", "accent", "card"].map((name) => [name, colour(name)]));
}

// A context whose unit is a CSS pixel, of a canvas as large as its element, or of this height.
function context(canvas, height) {
    const scale = window.devicePixelRatio || 1;
    if (height)
        canvas.style.height = `${height}px`;
    const box = { width: canvas.clientWidth, height: height || canvas.clientHeight };
    canvas.width = Math.round(box.width * scale);
    canvas.height = Math.round(box.height * scale);
    const c = canvas.getContext("2d");
    c.scale(scale, scale);
    return [c, box];
}

// Each state has a shape of its own, for whoever does not tell the colours apart.
function drawCell(c, colours, state, share, x, y, size) {
    const gap = size > 5 ? 1 : 0.5;
    const side = size - gap;
    const middle = side / 2;
    c.globalAlpha = state === "absent" ? 1 : 0.45 + 0.55 * share;
    c.fillStyle = c.strokeStyle = colours[state];
    if (state === "absent") {
        const dot = Math.max(1.5, side * 0.3);
        c.fillRect(x + middle - dot / 2, y + middle - dot / 2, dot, dot);
    } else if (state === "cached") {
        c.lineWidth = Math.max(1, side * 0.18);
        c.strokeRect(x + c.lineWidth / 2, y + c.lineWidth / 2, side - c.lineWidth, side - c.lineWidth);
    } else if (state === "ahead") {
        c.fillRect(x, y + middle, side, middle);
    } else {
        c.fillRect(x, y, side, side);
    }
    if (state === "awaited") {
        c.globalAlpha = 1;
        c.fillStyle = colours.card;
        const dot = Math.max(1.5, side * 0.34);
        c.fillRect(x + middle - dot / 2, y + middle - dot / 2, dot, dot);
    }
    c.globalAlpha = 1;
}

// The runs of a map as an array of shares for each cell.
function cellsOf(map) {
    const cells = [];
    for (const [length, ...shares] of map.runs)
        for (let i = 0; i < length; i++)
            cells.push(shares.length ? shares : [0, 0, 0, 0, 0]);
    return cells;
}

// So few that each has a square of its own.
function merge(cells, most) {
    if (cells.length <= most)
        return cells;
    const merged = [];
    for (let i = 0; i < most; i++) {
        const end = Math.floor((cells.length * (i + 1)) / most);
        const sum = [0, 0, 0, 0, 0];
        let n = 0;
        for (let j = Math.floor((cells.length * i) / most); j < end; j++, n++)
            cells[j].forEach((share, k) => (sum[k] += share));
        merged.push(sum.map((share) => share / n));
    }
    return merged;
}

// What a cell is drawn as: most of what is here of it; the share is that of all that is stored there.
function look(shares) {
    const stored = shares.reduce((a, b) => a + b, 0);
    if (stored <= 0)
        return null;
    let most = 0;
    for (let i = 1; i < shares.length; i++)
        if (shares[i] > 0 && (most === 0 || shares[i] >= shares[most]))
            most = i;
    return { state: STATES[most + 1], share: (stored - shares[0]) / stored };
}

function drawMap(section, name, image) {
    const canvas = section.querySelector(".map");
    const width = canvas.clientWidth;
    const all = cellsOf(image.map);
    const height = width < 500 ? 260 : 200;
    const size = Math.max(6, Math.min(14, Math.floor(Math.sqrt((width * height) / all.length))));
    const columns = Math.max(1, Math.floor(width / size));
    const cells = merge(all, columns * Math.ceil((1.5 * height) / size));
    const [c] = context(canvas, Math.ceil(cells.length / columns) * size);
    const colours = palette();
    cells.forEach((shares, i) => {
        const is = look(shares);
        if (is)
            drawCell(c, colours, is.state, is.share, (i % columns) * size, Math.floor(i / columns) * size, size);
    });
    const units = STATES.slice(1).map((state) => `${image.map.units[state]} ${MEANINGS[state]}`);
    canvas.setAttribute("aria-label", `Map of ${name}: of ${image.chunks} chunks ${percent(image.here)} are here. Units: ${units.join(", ")}.`);
    canvas.onpointermove = (event) => {
        const column = Math.floor(event.offsetX / size);
        const at = Math.floor(event.offsetY / size) * columns + column;
        section.querySelector(".readout").textContent = column < columns && cells[at] ? describe(image, cells, at) : "";
    };
    canvas.onpointerleave = () => (section.querySelector(".readout").textContent = "");
}

function describe(image, cells, at) {
    const from = (image.size / cells.length) * at;
    const shares = cells[at];
    const stored = shares.reduce((a, b) => a + b, 0);
    const parts = shares
        .map((share, i) => [share, `${Math.round((share / stored) * 100)} % ${MEANINGS[STATES[i + 1]]}`])
        .filter(([share]) => share > 0)
        .map(([, text]) => text);
    return `At ${bytes(from)}: ${parts.length ? parts.join(", ") : "empty"}`;
}

function drawBar(section, image) {
    const bar = section.querySelector(".bar");
    const units = image.map.units;
    const stored = STATES.slice(1).reduce((sum, state) => sum + units[state], 0);
    for (const state of ["read", "awaited", "ahead", "cached"]) {
        let part = bar.querySelector(`.${state}`);
        if (!part) {
            part = document.createElement("span");
            part.className = state;
            bar.append(part);
        }
        part.style.width = stored ? `${(units[state] / stored) * 100}%` : "0";
    }
    bar.setAttribute("aria-label", `${percent(image.here)} here`);
}

function drawGraph(rates) {
    const [c, box] = context(byId("graph"));
    const colours = palette();
    const top = Math.max(65536, ...rates);
    const x = (i) => box.width - ((rates.length - 1 - i) * box.width) / (HISTORY - 1);
    const y = (rate) => box.height - 1 - (rate / top) * (box.height - 22);
    c.strokeStyle = colours.line;
    c.lineWidth = 1;
    for (const part of [0, 0.5, 1]) {
        c.beginPath();
        c.moveTo(0, Math.round(y(top * part)) + 0.5);
        c.lineTo(box.width, Math.round(y(top * part)) + 0.5);
        c.stroke();
    }
    c.fillStyle = colours.quiet;
    c.font = "12px system-ui, sans-serif";
    c.fillText(`${bytes(top)}/s`, 0, 12);
    c.textAlign = "right";
    c.fillText("the last two minutes", box.width, 12);
    c.beginPath();
    rates.forEach((rate, i) => (i ? c.lineTo(x(i), y(rate)) : c.moveTo(x(i), y(rate))));
    c.strokeStyle = colours.accent;
    c.lineWidth = 2;
    c.lineJoin = "round";
    c.stroke();
    c.lineTo(x(rates.length - 1), box.height);
    c.lineTo(x(0), box.height);
    c.fillStyle = colours.accent;
    c.globalAlpha = 0.15;
    c.fill();
    byId("graph").setAttribute("aria-label", `Rate of the last ${rates.length} seconds: now ${bytes(rates[rates.length - 1])} a second, at most ${bytes(Math.max(...rates))}.`);
}

function drawLegend() {
    const colours = palette();
    const legend = byId("legend");
    if (!legend.children.length)
        for (const state of STATES.slice(1)) {
            const item = document.createElement("li");
            item.append(document.createElement("canvas"), MEANINGS[state]);
            item.firstChild.setAttribute("aria-hidden", "true");
            legend.append(item);
        }
    STATES.slice(1).forEach((state, i) => {
        const [c, box] = context(legend.children[i].firstChild);
        drawCell(c, colours, state, 1, 0, 0, box.width);
    });
}

// ---- a machine ----

function showImage(name, image) {
    const id = `image-${name}`;
    let section = byId(id);
    if (!section) {
        section = byId("image").content.firstElementChild.cloneNode(true);
        section.id = id;
        byId("images").append(section);
    }
    section.querySelector("h2").textContent = name;
    const figures = [
        `${bytes(image.size)} in chunks of ${bytes(image.chunk_size)}`,
        `here ${percent(image.here)}`,
        `hit rate ${percent(image.hit_rate)}`,
        `${image.reads} reads of ${bytes(image.read_bytes)}`,
        `waited ${image.waited.toFixed(1)} s`,
    ];
    section.querySelector(".figures").textContent = figures.join(" · ");
    for (const part of section.querySelectorAll(".bar, .map, .readout"))
        part.hidden = !image.map;
    if (image.map) {
        drawBar(section, image);
        drawMap(section, name, image);
    }
}

function showMachine(machine) {
    const images = Object.entries(machine.images || {});
    const name = machine.name || "A machine";
    document.title = `${percent(machine.here)} ${name} – nxfetch`;
    show("name", name);
    show("state", machine.error || STATE_WORDS[machine.state] || machine.state);
    byId("state").classList.toggle("waiting", Boolean(machine.error) || machine.state === "waiting");
    show("url", machine.url || "");
    show("since", machine.error ? "" : `${machine.resumed ? "resumed, " : ""}for ${duration(machine.seconds)}, since ${new Date(machine.started).toLocaleString()}; pid\u00a0${machine.pid}`);
    show("here", percent(machine.here));
    show("hit_rate", percent(machine.hit_rate));
    show("bytes", bytes(machine.bytes || 0));
    show("requests", String(machine.requests || 0));
    show("waiting", String(machine.waiting || 0));
    byId("waiting").classList.toggle("some", machine.waiting > 0);
    show("waited", `${images.reduce((sum, [, image]) => sum + image.waited, 0).toFixed(1)} s`);
    show("rate", `${bytes(machine.rate || 0)}/s`);
    for (const section of [...byId("images").children])
        if (!images.some(([image]) => section.id === `image-${image}`))
            section.remove();
    images.forEach(([image, is]) => showImage(image, is));
    drawGraph(histories.get(machine.pid) || [0]);
    drawLegend();
}

function showChoice() {
    const nav = byId("machines");
    nav.hidden = machines.length < 2;
    const wanted = machines.map((m) => `${m.name || "a machine"} (${m.pid})`);
    if ([...nav.children].map((b) => b.textContent).join("\n") !== wanted.join("\n"))
        nav.replaceChildren(...machines.map((m, i) => {
            const button = document.createElement("button");
            button.type = "button";
            button.textContent = wanted[i];
            button.onclick = () => {
                chosen = m.pid;
                draw();
            };
            return button;
        }));
    machines.forEach((m, i) => nav.children[i].setAttribute("aria-pressed", String(m.pid === chosen)));
}

function draw() {
    const machine = machines.find((m) => m.pid === chosen) || machines[0];
    if (machine)
        chosen = machine.pid;
    showChoice();
    byId("machine").hidden = !machine;
    if (machine)
        showMachine(machine);
}

function notice(text) {
    show("notice", text);
    byId("notice").hidden = !text;
}

function remember() {
    for (const machine of machines) {
        const rates = histories.get(machine.pid) || [];
        rates.push(machine.rate || 0);
        histories.set(machine.pid, rates.slice(-HISTORY));
    }
}

async function poll() {
    try {
        const answer = await fetch("status.json", { cache: "no-store" });
        if (!answer.ok)
            throw new Error(`status ${answer.status}`);
        machines = (await answer.json()).machines;
        byId("machine").classList.remove("stale");
        notice(machines.length ? "" : "No machine is running here now. One that is started will be shown.");
        remember();
        draw();
    } catch (error) {
        byId("machine").classList.add("stale");
        notice("nxfetch status does not answer any more: what is shown is old.");
    }
    setTimeout(poll, POLL_MS);
}

window.addEventListener("resize", draw);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
poll();
