"use strict";
// Everything works without this: it only follows a diagnosis as it goes on, and tells times where the reader is.
for (const at of document.querySelectorAll("time[datetime]")) {
  const moment = new Date(at.dateTime);
  if (!isNaN(moment)) at.title = moment.toLocaleString(document.documentElement.lang, { timeZoneName: "short" });
}
// A browser holds few connections to one server, so not every row of a long list has its own.
for (const shown of [...document.querySelectorAll("[data-follow]")].slice(0, 3)) {
  const source = new EventSource("/v1/diagnoses/" + encodeURIComponent(shown.dataset.follow) + "/events");
  const tell = (event) => {
    const told = JSON.parse(event.data);
    const status = shown.querySelector("[data-status]");
    if (status) {
      const words = JSON.parse(document.body.dataset.states);
      status.textContent = words[told.status] || told.status;
      status.className = "status " + told.status;
    }
    const bar = shown.querySelector("progress");
    if (bar && told.progress) [bar.value, bar.max] = told.progress;
    const waiting = shown.querySelector("[data-waiting]");
    if (waiting) waiting.textContent = told.waiting || "";
    return told;
  };
  source.addEventListener("diagnosis", tell);
  source.addEventListener("end", (event) => {
    source.close();
    const told = tell(event);
    if ("leads" in shown.dataset && told.report_url) location.replace("/reports/" + encodeURIComponent(told.id));
    else location.reload();
  });
}
// A picture that is wider than the window begins with what was asked about.
for (const own of document.querySelectorAll(".scroll .g-self")) {
  const { x, width } = own.getBBox();
  const around = own.closest(".scroll");
  around.scrollLeft = x + width / 2 - around.clientWidth / 2;
}
// How long something can still be decided.
const ticking = [...document.querySelectorAll("[data-until]")];
const tick = () => {
  for (const shown of ticking) {
    const left = Math.max(Math.round(shown.dataset.until - Date.now() / 1000), 0);
    const [h, m, s] = [Math.floor(left / 3600), Math.floor(left / 60) % 60, left % 60];
    const told = shown.querySelector("[data-left]") || shown.appendChild(document.createElement("b"));
    told.dataset.left = "";
    told.textContent = ` (${h ? h + ":" : ""}${String(m).padStart(h ? 2 : 1, "0")}:${String(s).padStart(2, "0")})`;
  }
};
if (ticking.length) setInterval(tick, 1000), tick();
// What is true only now is read again while somebody looks; where it has come into another state, so is the whole page.
const live = document.querySelector("[data-live]");
if (live)
  setInterval(async () => {
    if (document.hidden) return;
    const answer = await fetch(location.href);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("[data-live]");
    if (!answer.ok || !fresh) return;
    if (fresh.dataset.state !== live.dataset.state) return location.reload();
    if (!live.querySelector("[data-until]")) live.replaceChildren(...fresh.childNodes);
  }, 1000 * (live.dataset.live || 30));
