"use strict";
// Everything is there without this: it only reads a chart where somebody points, from the table below it.
for (const figure of document.querySelectorAll("figure")) {
  const chart = figure.querySelector("svg.chart");
  const rows = [...figure.querySelectorAll("tr[data-x]")];
  if (!chart || !rows.length) continue;
  const drawn = (name) => chart.appendChild(document.createElementNS("http://www.w3.org/2000/svg", name));
  const [line, dot, told] = [drawn("path"), drawn("circle"), figure.appendChild(document.createElement("p"))];
  const heads = [...rows[0].closest("table").tHead.rows[0].cells].map((cell) => cell.textContent);
  line.setAttribute("class", "c-point");
  dot.setAttribute("class", "c-point");
  dot.setAttribute("r", 4);
  told.className = "readout";
  told.setAttribute("role", "status");
  let at = -1;
  const show = (index) => {
    at = index;
    told.hidden = at < 0;
    line.style.display = dot.style.display = at < 0 ? "none" : "";
    if (at < 0) return;
    const { x, y } = rows[at].dataset;
    const [when, measured, ...more] = [...rows[at].cells].map((cell) => cell.textContent.trim());
    line.setAttribute("d", `M${x} 46V194`);
    dot.setAttribute("cx", x);
    dot.setAttribute("cy", y);
    const value = document.createElement("b");
    value.textContent = measured;
    told.replaceChildren(when + " ", value);
    more.forEach((words, i) => words && told.append(document.createElement("br"), `${heads[i + 2]}: ${words}`));
    // Beside the line, on the side that has room.
    const [box, around] = [chart.getBoundingClientRect(), figure.getBoundingClientRect()];
    const here = box.left - around.left + (x / 520) * box.width;
    const left = here + 12 + told.offsetWidth > around.width ? here - 12 - told.offsetWidth : here + 12;
    told.style.left = `${Math.max(left, 0)}px`;
    told.style.top = `${box.top - around.top + 4}px`;
  };
  const point = (event) => {
    const box = chart.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * 520;
    const far = rows.map((row) => Math.abs(row.dataset.x - x));
    show(far.indexOf(Math.min(...far)));
  };
  chart.addEventListener("pointerdown", point);
  chart.addEventListener("pointermove", point);
  chart.addEventListener("pointerleave", () => show(-1));
  chart.addEventListener("blur", () => show(-1));
  chart.addEventListener("keydown", (event) => {
    const last = rows.length - 1;
    const to = { ArrowRight: Math.min(at + 1, last), ArrowLeft: at < 0 ? last : Math.max(at - 1, 0), Home: 0, End: last, Escape: -1 };
    if (!(event.key in to)) return;
    event.preventDefault();
    show(to[event.key]);
  });
  chart.tabIndex = 0;
  show(-1);
}
