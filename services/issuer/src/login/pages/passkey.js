// The one script of sign-in. It asks the browser for a passkey with the options that are in the page, posts the answer,
// and goes where it is told. Its words are in the page. Nothing is awaited between the click and the call: some
// browsers would not prompt.
"use strict";

const texts = JSON.parse(document.querySelector("[data-texts]").dataset.texts);
const button = document.querySelector("button[data-passkey]");
const notice = document.getElementById("notice");
const progress = document.getElementById("progress");
const field = document.getElementById("autofill");
const title = document.title;
const kind = button?.dataset.passkey;

/** Ends the browser's call that is under way: a button pressed while the field waits, or pressed again. */
let call = null;
let isPosting = false;
/** Set where nobody knows whether the page's challenge is still good. */
let isStale = false;

function say({ title: what, text, perhaps = [] }) {
  const [strong, paragraph, list] = notice.children;
  strong.textContent = what;
  paragraph.textContent = text;
  list.replaceChildren(...perhaps.map(itemOf));
  list.hidden = perhaps.length === 0;
  document.title = `${what} · ${title}`;
  progress.textContent = "";
  notice.hidden = false;
  notice.focus();
}

function itemOf(text) {
  const item = document.createElement("li");
  item.textContent = text;
  return item;
}

function beQuiet(text) {
  notice.hidden = true;
  document.title = title;
  progress.textContent = text;
}

function toBase64url(buffer) {
  const text = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function fromBase64url(text) {
  const bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(bytes, (character) => character.charCodeAt(0));
}

// Not the browser's own parsing and toJSON: older browsers have none, and passkeys of extensions come without.
function optionsOf(json) {
  const options = { ...json, challenge: fromBase64url(json.challenge) };
  if (json.user) options.user = { ...json.user, id: fromBase64url(json.user.id) };
  for (const list of ["allowCredentials", "excludeCredentials"])
    options[list] = json[list]?.map((one) => ({ ...one, id: fromBase64url(one.id) })) ?? [];
  return options;
}

const BYTES = [
  "clientDataJSON",
  "attestationObject",
  "authenticatorData",
  "signature",
  "userHandle",
];

function answerOf({ rawId, type, response }) {
  const id = toBase64url(rawId);
  const parts = BYTES.filter((name) => response[name]).map((name) => [
    name,
    toBase64url(response[name]),
  ]);
  const transports = response.getTransports?.() ?? [];
  return { id, rawId: id, type, response: { ...Object.fromEntries(parts), transports } };
}

async function post(body, credential) {
  isPosting = true;
  progress.textContent = texts.checking;
  try {
    const answer = await fetch(button.dataset.answer, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const said = await answer.json();
    if (said.location) location.assign(said.location);
    else refused(said, credential);
  } catch {
    becomeStale(texts.lost);
  } finally {
    isPosting = false;
  }
}

// What was answered has spent the challenge: the next click needs another, and has no time to fetch it.
function refused({ failure, options, isDeleted }, { id: credentialId }) {
  const { rpId } = JSON.parse(button.dataset.options);
  if (isDeleted) signal("signalUnknownCredential", { rpId, credentialId });
  if (!options) {
    becomeStale(failure ?? texts.lost);
    return;
  }
  button.dataset.options = JSON.stringify(options);
  say(failure);
}

function becomeStale(failure) {
  isStale = true;
  button.textContent = texts.reload;
  say(failure);
}

async function finish(credential, mine) {
  try {
    const made = await credential;
    const answer = answerOf(made);
    await post(kind === "create" ? { response: answer, name: nameOf(made) } : answer, made);
  } catch (error) {
    // Aborted by us: another call has taken its place.
    if (!mine.signal.aborted) say(texts[kind][error.name] ?? texts.otherwise);
  } finally {
    if (call === mine) call = null;
  }
}

function begin(extra) {
  call?.abort();
  const mine = new AbortController();
  call = mine;
  const publicKey = optionsOf(JSON.parse(button.dataset.options));
  const credential = navigator.credentials[kind]({ publicKey, signal: mine.signal, ...extra });
  void finish(credential, mine);
}

function clicked() {
  if (isPosting) return;
  if (isStale) {
    location.reload();
    return;
  }
  beQuiet(texts.waiting);
  begin({});
}

/** Passkeys are offered in the field; begun anew by who comes back to it, and never by itself. */
function offer() {
  if (call === null && !isPosting && !isStale) begin({ mediation: "conditional" });
}

async function offerInField() {
  const isAvailable = await PublicKeyCredential.isConditionalMediationAvailable?.();
  if (!isAvailable) return;
  field.hidden = false;
  field.querySelector("input").addEventListener("focus", offer);
  offer();
}

/** What the passkey is called that was just made; a suggestion speaks of this device, and the key may be another. */
function nameOf({ authenticatorAttachment, response }) {
  const { value } = document.querySelector("input[name=name]");
  if (value !== suggestion || authenticatorAttachment !== "cross-platform") return value;
  return response.getTransports?.().includes("hybrid") ? texts.phone : texts.securityKey;
}

const [, suggestion = ""] =
  texts.devices.find(([sign]) => navigator.userAgent.includes(sign)) ?? [];

/** Browsers that do not know a signal are not asked; one that fails changes nothing here. */
function signal(method, message) {
  void PublicKeyCredential[method]?.(message)?.catch(() => {});
}

function sendSignals({ rpId, userId, name, displayName, allAcceptedCredentialIds }) {
  signal("signalAllAcceptedCredentials", { rpId, userId, allAcceptedCredentialIds });
  signal("signalCurrentUserDetails", { rpId, userId, name, displayName });
}

function start() {
  if (!globalThis.PublicKeyCredential) {
    button.hidden = true;
    say(texts.unsupported);
    return;
  }
  button.addEventListener("click", clicked);
  if (kind === "create") document.querySelector("input[name=name]").value = suggestion;
  else void offerInField();
}

if (button) start();

const signals = document.querySelector("[data-signals]")?.dataset.signals;
if (signals && globalThis.PublicKeyCredential) sendSignals(JSON.parse(signals));

// A pass is in the part of the address that no browser sends: programs that look at links do not spend it.
const pass = document.querySelector("form[data-pass] input[name=pass]");
if (pass && location.hash.length > 1) {
  pass.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
}
