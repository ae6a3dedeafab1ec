// Keeps stationd's pages fresh. What a page does is named in <body data-page>; see agent/src/web.rs.
// There is one renderer, the server: when the status has changed, the page is fetched again and the
// sections that differ are replaced. Only figures that change all the time are written here.
"use strict";

const page = document.body.dataset;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const visible = () => new Promise((done) => {
  if (!document.hidden) return done();
  document.addEventListener("visibilitychange", done, { once: true });
});
const get = (path, options) => fetch(path, { cache: "no-store", ...options });

function notice(text) {
  const place = document.getElementById("notice");
  if (place && place.textContent !== text) place.textContent = text;
}

// --- times in the reader's own clock ---
function showTimes(root) {
  for (const time of root.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    time.title = time.dateTime;
    const today = at.toDateString() === new Date().toDateString();
    time.textContent = today ? at.toLocaleTimeString() : at.toLocaleString();
  }
}

// --- buttons ---
function bringToLife(root) {
  for (const button of root.querySelectorAll("button[data-verb], button[data-logout]")) {
    button.hidden = false;
  }
  showTimes(root);
}

async function problem(answer) {
  const body = await answer.json().catch(() => ({}));
  return body.detail || body.title || `the server answered ${answer.status}`;
}

function warning(button) {
  const place = button.closest("[data-warning]");
  return place ? place.dataset.warning : "Its running kernels and their variables are lost.";
}

async function press(button) {
  const { app, verb } = button.dataset;
  if (verb !== "start" && !confirm(`${verb} ${app}? ${warning(button)}`)) return;
  button.disabled = true;
  notice(`${verb} ${app} …`);
  try {
    const answer = await fetch(`/v1/apps/${encodeURIComponent(app)}/${verb}`, { method: "POST" });
    if (!answer.ok) {
      notice(`${verb} ${app}: ${await problem(answer)}`);
    } else {
      notice("");
      if (page.page === "app") location.reload();
    }
  } catch {
    notice(`${verb} ${app}: stationd does not answer; try again.`);
  }
  button.disabled = false;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.verb) {
    await press(button);
  } else if ("logout" in button.dataset) {
    const answer = await fetch("/logout", { method: "POST", headers: { accept: "text/html" } }).catch(() => null);
    if (answer && answer.ok) location.replace("/"); else notice("Logging out failed; try again.");
  }
});

// --- waiting for changes ---
// Calls `changed(heartbeat, etag)` after each change of the status, for as long as it returns true.
async function follow(etag, changed) {
  let failures = 0;
  for (;;) {
    await visible();
    try {
      const headers = etag ? { "if-none-match": etag } : {};
      const answer = await get(etag ? "/v1/heartbeat?wait=25" : "/v1/heartbeat", { headers });
      if (answer.status === 401) {
        notice("Your session has ended. Run “stationctl login” on the workstation and open its link; then reload this page.");
        return;
      }
      if (answer.status !== 200 && answer.status !== 304) throw new Error(answer.statusText);
      if (failures > 0) notice("");
      failures = 0;
      if (answer.status === 304) continue;
      const next = answer.headers.get("etag");
      // Never busy: an answer without a new tag is asked for again only after a pause.
      if (!next || next === etag) await pause(2000);
      etag = next;
      if (!(await changed(await answer.json(), etag))) return;
    } catch {
      failures += 1;
      if (failures > 1) notice("stationd does not answer; trying again. What runs goes on running.");
      await pause(Math.min(15000, 500 * 2 ** failures) * (0.5 + Math.random()));
    }
  }
}

// --- the front page ---
const sections = ["state", "conditions", "apps", "machine", "gpus", "mounts"];
const shown = {}; // the markup of each section as the server last sent it

async function redraw() {
  const answer = await get("/", { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const id of sections) {
    const now = document.getElementById(id);
    const then = fresh.getElementById(id);
    if (!now || !then || shown[id] === then.innerHTML) continue;
    shown[id] = then.innerHTML;
    const open = [...now.querySelectorAll("details[open]")].map((details) => details.id);
    const focus = document.activeElement && now.contains(document.activeElement)
      ? { app: document.activeElement.dataset.app, verb: document.activeElement.dataset.verb } : null;
    now.replaceChildren(...then.childNodes);
    for (const details of now.querySelectorAll("details")) details.open = open.includes(details.id);
    bringToLife(now);
    if (focus && focus.app) {
      const buttons = [...now.querySelectorAll("button")].filter((b) => b.dataset.app === focus.app);
      (buttons.find((b) => b.dataset.verb === focus.verb) || buttons[0] || now).focus();
    }
  }
}

function size(mib) {
  if (mib < 1024) return `${mib} MiB`;
  return mib < 1048576 ? `${(mib / 1024).toFixed(1)} GiB` : `${(mib / 1048576).toFixed(1)} TiB`;
}

function figure(name, text, share) {
  const place = document.querySelector(`[data-figure="${name}"]`);
  if (!place) return;
  place.querySelector("span").textContent = text;
  const meter = place.querySelector("meter");
  if (meter && share !== undefined) meter.value = share;
}

function used(name, total, available) {
  const mib = Math.max(0, total - available);
  figure(name, `${size(mib)} of ${size(total)}`, (100 * mib) / Math.max(1, total));
}

function showSamples(samples) {
  const { cpu, load, memory, os_disk: disk, pressure } = samples;
  if (cpu) figure("cpu", `${cpu.used_percent.toFixed(0)} % of ${cpu.cores} cores`, cpu.used_percent);
  if (load) figure("load", load.map((value) => value.toFixed(2)).join(" · "));
  if (memory) used("memory", memory.total_mib, memory.available_mib);
  if (disk) used("disk", disk.total_mib, disk.available_mib);
  if (pressure) {
    const share = (value) => `${value.toFixed(0)} %`;
    figure("pressure", `CPU ${share(pressure.cpu_some_percent)} · memory ${share(pressure.memory_some_percent)} · disk ${share(pressure.io_some_percent)}`);
  }
}

async function sample() {
  for (let round = 1; ; round += 1) {
    await pause(5000);
    await visible();
    // What changes without a change of the status: who holds a GPU, and the lines of the last hour.
    if (round % 6 === 0) await redraw().catch(() => null);
    const answer = await get("/v1/samples").catch(() => null);
    if (answer && answer.ok) showSamples(await answer.json());
    if (answer && answer.status === 401) return;
  }
}

// --- websockets: without them no cell runs, and a network that eats them gives no error ---
function websocketWorks() {
  return new Promise((done) => {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const after = Math.max(0, Number(page.seq) - 1);
    const socket = new WebSocket(`${scheme}://${location.host}/v1/events?after=${after}`);
    const end = (works) => { done(works); socket.close(); };
    const limit = setTimeout(() => end(false), 8000);
    socket.onmessage = () => { clearTimeout(limit); end(true); };
    // Open, and nothing to say: it works if it is still open a little later.
    socket.onopen = () => setTimeout(() => { if (socket.readyState === 1) { clearTimeout(limit); end(true); } }, 1500);
    socket.onerror = socket.onclose = () => { clearTimeout(limit); end(false); };
  });
}

async function testWebsocket() {
  const section = document.getElementById("websocket");
  const result = document.getElementById("websocket-result");
  section.hidden = false;
  for (;;) {
    if (await websocketWorks()) {
      result.className = "ok";
      result.textContent = "✓ Websockets pass: cells will run.";
      return;
    }
    // Only if plain requests do pass is it the network that eats websockets.
    const plain = await get("/v1/lease").catch(() => null);
    result.className = "warning";
    if (plain && plain.status === 401) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    result.textContent = plain && plain.ok
      ? `✗ Your network blocks websockets, cells will not run; allow ${scheme}://${page.host || location.host}`
      : "stationd does not answer; the websocket test waits for it.";
    await pause(15000);
    await visible();
  }
}

// --- what this page does ---
bringToLife(document);
if (page.page === "home") {
  follow(page.etag, async () => { await redraw(); return true; });
  sample();
  testWebsocket();
} else if (page.page === "app") {
  let before;
  follow("", (heartbeat) => {
    const app = heartbeat.status.apps.find((one) => one.name === page.app);
    const state = app && `${app.phase} ${app.generation} ${app.next_start || ""}`;
    if (app && app.phase === "ready" && before === undefined) {
      // Ready already: it came up while this page was on its way.
      setTimeout(() => location.reload(), 2000);
      return false;
    }
    if (before !== undefined && before !== state) { location.reload(); return false; }
    before = state;
    return true;
  });
} else if (page.page === "login") {
  const look = async () => {
    const answer = await get("/v1/lease").catch(() => null);
    if (!answer || !answer.ok) return;
    if (page.next) location.replace(page.next); else location.reload();
  };
  // A link that nobody knows leads nowhere, and asking for it again would not help.
  if (page.next || !location.pathname.startsWith("/login/")) {
    addEventListener("focus", look);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  }
}
