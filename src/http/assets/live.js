// What is live on a page: parts marked data-live are fetched again when the agent says that something changed, times
// go on by themselves, and buttons work without leaving the page. Without this script a page shows what it was
// when it was loaded.

const root = document.body.dataset.root;
const words = document.body.dataset;
const notice = document.getElementById("notice");

const units = [
  [86400, words.daysAgo, words.inDays],
  [3600, words.hoursAgo, words.inHours],
  [60, words.minutesAgo, words.inMinutes],
  [1, words.secondsAgo, words.inSeconds],
];

function tellTime() {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const due = time.dataset.ago === "due";
    const exactly = Math.round((new Date(time.dateTime) - Date.now()) / 1000);
    const distance = due ? Math.max(exactly, 0) : Math.min(exactly, 0);
    const size = Math.abs(distance);
    const [unit, past, future] = units.find(([unit]) => size >= 2 * unit) ?? units[3];
    const text = (due ? future : past).replace("{}", Math.floor(size / unit));
    if (time.textContent !== text) time.textContent = text;
  }
}

function say(text, isError) {
  notice.textContent = text;
  notice.classList.toggle("error", isError);
  notice.hidden = !text;
}

// Why something was refused, as its page says it.
function sayProblem(html, answer) {
  const problem = new DOMParser().parseFromString(html, "text/html").getElementById("problem");
  say(problem?.textContent ?? answer.statusText, true);
}

// Takes over what is live of another state of this page. Where somebody has typed something nothing is exchanged.
function exchange(html) {
  const other = new DOMParser().parseFromString(html, "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = other.getElementById(part.id);
    const fields = [...part.querySelectorAll("input, textarea")];
    const busy = fields.some((field) => field === document.activeElement || field.value !== field.defaultValue);
    if (!next || busy || next.innerHTML === part.dataset.shown) continue;
    const focused = part.contains(document.activeElement) ? pathTo(document.activeElement, part) : null;
    part.dataset.shown = next.innerHTML;
    part.replaceChildren(...next.childNodes);
    part.className = next.className;
    if (focused) focused.reduce((node, index) => node?.children[index], part)?.focus();
  }
  tellTime();
}

// Where an element is below another, so that the keyboard finds its place again.
function pathTo(element, ancestor) {
  const path = [];
  for (let node = element; node !== ancestor; node = node.parentElement) {
    path.unshift([...node.parentElement.children].indexOf(node));
  }
  return path;
}

let fetching = false;
let again = false;

async function refresh() {
  if (fetching) {
    again = true;
    return;
  }
  fetching = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html", "x-only-live": "1" } });
    const html = await answer.text();
    if (answer.ok) exchange(html);
    else sayProblem(html, answer);
  } catch {
    // the stream says when the agent is back
  }
  fetching = false;
  if (again) {
    again = false;
    refresh();
  }
}

// A browser has six connections to one agent, so that only a page that is seen keeps one.
let events = null;

function listen() {
  if (document.hidden) {
    events?.close();
    events = null;
  } else if (!events) {
    events = new EventSource(`${root}api/v1/events`);
    events.addEventListener("info", refresh);
    events.addEventListener("open", () => say("", false));
    events.addEventListener("error", () => say(words.unreachable, true));
  }
}

async function send(form, button) {
  const fields = new FormData(form, button);
  say(words.working, false);
  button?.setAttribute("aria-busy", "true");
  try {
    const options = { method: "POST", body: new URLSearchParams(fields), headers: { accept: "text/html" } };
    const answer = await fetch(form.action, options);
    const html = await answer.text();
    if (answer.ok) {
      say("", false);
      form.reset();
      await refresh();
    } else {
      sayProblem(html, answer);
    }
  } catch {
    say(words.unreachable, true);
  }
  button?.removeAttribute("aria-busy");
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || "plain" in form.dataset) return;
  event.preventDefault();
  send(form, event.submitter);
});

for (const link of document.querySelectorAll("nav a")) {
  if (link.href === location.href.split("#")[0].split("?")[0]) link.setAttribute("aria-current", "page");
}
document.addEventListener("visibilitychange", listen);
setInterval(tellTime, 1000);
listen();
