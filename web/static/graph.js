// Draws a cluster on a canvas: places come from the server, layers are switched here.
"use strict";
(async () => {
  const frame = document.querySelector("[data-graph]");
  const canvas = document.getElementById("graph");
  const tip = document.getElementById("tip");
  const answer = await fetch(frame.dataset.graph, { headers: { accept: "application/json" } });
  if (!answer.ok) {
    document.getElementById("legend").textContent = "The graph cannot be loaded: load the page again.";
    return;
  }
  const data = await answer.json();
  const pen = canvas.getContext("2d");
  const count = data.ids.length;
  const account = data.kinds.indexOf("account");
  const on = data.layers.map(() => true);
  const view = { scale: 1, x: 0, y: 0 };
  let hovered = -1;
  let width = 0, height = 0, colours = {};

  const used = data.layers.map(() => 0);
  for (const edge of data.edges) for (const layer of edge[3]) used[layer] += 1;
  const box = document.getElementById("layers");
  data.layers.forEach((name, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `${name.replaceAll("_", " ")} ${used[number]}`;
    button.setAttribute("aria-pressed", "true");
    button.addEventListener("click", (event) => {
      if (event.shiftKey) on.forEach((_, other) => { on[other] = other === number; });
      else on[number] = !on[number];
      [...box.querySelectorAll("button")].forEach((one, place) => one.setAttribute("aria-pressed", String(on[place])));
      draw();
    });
    box.append(button);
  });

  const place = (node) => [
    view.x + (30 + data.x[node] * (width - 60)) * view.scale,
    view.y + (24 + data.y[node] * (height - 48)) * view.scale,
  ];
  const size = count > 600 ? 2.4 : count > 120 ? 3.6 : 5.5;

  function draw() {
    pen.clearRect(0, 0, width, height);
    const lit = new Uint8Array(count);
    const near = new Uint8Array(count);
    const edges = data.edges.filter((edge) => edge[3].some((layer) => on[layer]));
    const groups = { tie: [], use: [], near: [] };
    for (const edge of edges) {
      lit[edge[0]] = lit[edge[1]] = 1;
      const touches = edge[0] === hovered || edge[1] === hovered;
      if (touches) near[edge[0]] = near[edge[1]] = 1;
      groups[touches ? "near" : data.kind[edge[1]] === account ? "tie" : "use"].push(edge);
    }
    const many = data.edges.length;
    const faint = many > 4000 ? 0.06 : many > 800 ? 0.18 : 0.34;
    const thin = many > 4000 ? 0.5 : 1;
    for (const [name, colour, strength, wide] of [["use", colours.entity, faint, thin], ["tie", colours.account, 1.5 * faint, thin], ["near", colours.ink, 0.8, 1.5]]) {
      pen.globalAlpha = strength;
      pen.strokeStyle = colour;
      pen.lineWidth = wide;
      pen.beginPath();
      for (const edge of groups[name]) {
        pen.moveTo(...place(edge[0]));
        pen.lineTo(...place(edge[1]));
      }
      pen.stroke();
    }
    for (let node = count - 1; node >= 0; node -= 1) {
      const [x, y] = place(node);
      if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
      const person = data.kind[node] === account;
      if (!person && !lit[node]) continue;
      pen.globalAlpha = lit[node] ? 1 : 0.3;
      pen.fillStyle = person ? colours.account : colours.entity;
      const radius = node === hovered ? size + 2 : size;
      pen.beginPath();
      if (person) pen.arc(x, y, radius, 0, 7);
      else pen.rect(x - radius, y - radius, 2 * radius, 2 * radius);
      pen.fill();
      pen.globalAlpha = 1;
      pen.lineWidth = 1;
      pen.strokeStyle = near[node] && node !== hovered ? colours.ink : colours.panel;
      pen.stroke();
    }
    pen.globalAlpha = 1;
    if (count <= 90 || view.scale > 3) {
      pen.fillStyle = colours.soft;
      pen.font = "11px system-ui, sans-serif";
      for (let node = 0; node < count; node += 1) {
        if (data.kind[node] === account || !lit[node]) continue;
        const [x, y] = place(node);
        const right = x < width - 110;
        pen.textAlign = right ? "left" : "right";
        pen.fillText(data.kinds[data.kind[node]].replaceAll("_", " "), right ? x + size + 3 : x - size - 3, y + 4);
      }
    }
  }

  function fit() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["account", "entity", "ink", "soft", "panel"]) colours[name] = style.getPropertyValue(`--${name}`);
    const sharp = window.devicePixelRatio || 1;
    width = canvas.clientWidth;
    height = canvas.clientHeight;
    canvas.width = width * sharp;
    canvas.height = height * sharp;
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    draw();
  }

  function nearest(event) {
    const bounds = canvas.getBoundingClientRect();
    const at = [event.clientX - bounds.left, event.clientY - bounds.top];
    let best = -1, least = 12 * 12;
    for (let node = 0; node < count; node += 1) {
      const [x, y] = place(node);
      const far = (x - at[0]) ** 2 + (y - at[1]) ** 2;
      if (far < least) { least = far; best = node; }
    }
    return best;
  }

  function zoom(by, x = width / 2, y = height / 2) {
    const scale = Math.max(0.5, Math.min(20, view.scale * by));
    view.x = x - ((x - view.x) * scale) / view.scale;
    view.y = y - ((y - view.y) * scale) / view.scale;
    view.scale = scale;
    draw();
  }

  let held = null;
  canvas.addEventListener("pointerdown", (event) => {
    held = { x: event.clientX, y: event.clientY, moved: 0 };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (held) {
      view.x += event.clientX - held.x;
      view.y += event.clientY - held.y;
      held = { x: event.clientX, y: event.clientY, moved: held.moved + Math.abs(event.movementX) + Math.abs(event.movementY) };
      draw();
      return;
    }
    const node = nearest(event);
    if (node !== hovered) {
      hovered = node;
      tip.hidden = node < 0;
      if (node >= 0) tip.textContent = `${data.kinds[data.kind[node]].replaceAll("_", " ")}: ${data.ids[node]}`;
      draw();
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    const node = held && held.moved < 4 ? nearest(event) : -1;
    held = null;
    if (node >= 0 && data.kind[node] === account) document.dispatchEvent(new CustomEvent("ringwatch-member", { detail: data.ids[node] }));
  });
  canvas.addEventListener("pointerleave", () => { if (!held) { hovered = -1; tip.hidden = true; draw(); } });
  canvas.addEventListener("wheel", (event) => {
    // Only with Ctrl, so that a page scrolls over it.
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15, event.offsetX, event.offsetY);
  }, { passive: false });
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => {
      if (button.dataset.zoom === "fit") { Object.assign(view, { scale: 1, x: 0, y: 0 }); draw(); }
      else zoom(button.dataset.zoom === "in" ? 1.4 : 1 / 1.4);
    });
  }
  new ResizeObserver(fit).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", fit);
  fit();
  canvas.dataset.drawn = String(count);
})();
