// The wire of a bus, frame by frame as it comes, the newest on top.

const KEPT = 200;
const table = document.getElementById("wire");
const rows = table.tBodies[0];
const hold = document.getElementById("hold");
let source = null;

function cell(row, text, kind) {
  const cell = row.insertCell();
  cell.textContent = text;
  if (kind) cell.className = kind;
  return cell;
}

function show(frame) {
  const newest = Number(rows.rows[0]?.dataset.number ?? 0);
  if (frame.number <= newest) return;
  const row = rows.insertRow(0);
  row.className = frame.direction;
  row.dataset.number = frame.number;
  const time = document.createElement("time");
  time.dateTime = time.title = frame.at;
  time.textContent = frame.local;
  row.insertCell().append(time);
  cell(row, frame.direction === "sent" ? "→" : "←").title = frame.direction;
  cell(row, frame.words);
  cell(row, frame.hex, "hex");
  while (rows.rows.length > KEPT) rows.deleteRow(-1);
}

function listen() {
  const wanted = !document.hidden && hold.getAttribute("aria-pressed") === "false";
  if (!wanted) {
    source?.close();
    source = null;
  } else if (!source) {
    source = new EventSource(table.dataset.source);
    source.addEventListener("frame", (event) => show(JSON.parse(event.data)));
  }
}

hold.hidden = false;
hold.addEventListener("click", () => {
  hold.setAttribute("aria-pressed", String(hold.getAttribute("aria-pressed") === "false"));
  listen();
});
document.addEventListener("visibilitychange", listen);
listen();
