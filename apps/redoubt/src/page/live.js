// Keeps the page fresh without a reload: asks for the fragment and changes only what differs, so that focus, selection
// and scroll positions stay. Whatever the fragment holds was escaped by the server, and the policy runs no script in it.
const EVERY_MS = 3000;
const GIVE_UP_MS = 10_000;
let readAt = Date.now();
let isLost = false;

function sync(shown, fresh) {
  if (shown.nodeType !== fresh.nodeType || shown.nodeName !== fresh.nodeName) {
    shown.replaceWith(document.importNode(fresh, true));
    return;
  }
  if (shown.nodeType === Node.TEXT_NODE) {
    if (shown.data !== fresh.data) shown.data = fresh.data;
    return;
  }
  for (const name of shown.getAttributeNames())
    if (!fresh.hasAttribute(name)) shown.removeAttribute(name);
  for (const { name, value } of fresh.attributes)
    if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  syncChildren(shown, fresh);
}

function syncChildren(shown, fresh) {
  const wanted = [...fresh.childNodes];
  for (const [i, node] of wanted.entries()) {
    const old = byId(shown, node) ?? shown.childNodes[i];
    if (!old) shown.append(document.importNode(node, true));
    else {
      if (old !== shown.childNodes[i]) shown.insertBefore(old, shown.childNodes[i]);
      sync(old, node);
    }
  }
  while (shown.childNodes.length > wanted.length) shown.lastChild.remove();
}

/** A section that stands elsewhere now is moved, not made anew. */
function byId(parent, { id }) {
  return id ? [...parent.children].find((child) => child.id === id) : undefined;
}

async function refresh() {
  try {
    const answer = await fetch("/fragment", { signal: AbortSignal.timeout(GIVE_UP_MS) });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const main = fresh.getElementById("main");
    if (!main) throw new Error(`No fragment: status ${answer.status}`);
    isLost = false;
    readAt = Date.now();
    sync(document.getElementById("main"), main);
    document.title = main.dataset.title;
  } catch {
    lose();
  }
  setTimeout(() => void refresh(), EVERY_MS);
}

/** Said once in the banner, which is read aloud; the seconds are counted where nothing is. */
function lose() {
  if (isLost) return;
  isLost = true;
  const words = "The supervisor does not answer: what you see is old";
  const banner = document.getElementById("banner");
  const verdict = banner.querySelector(".verdict");
  banner.className = "card banner bad";
  verdict.className = "verdict state bad";
  verdict.textContent = words;
  document.title = words;
}

setInterval(() => {
  if (!isLost) return;
  const seconds = Math.round((Date.now() - readAt) / 1000);
  document.getElementById("read").textContent =
    `read ${seconds} s ago, the supervisor does not answer`;
}, 1000);
setTimeout(() => void refresh(), EVERY_MS);
