// The one script of sign-in. It asks the browser for a passkey with the options that are in the page, posts the answer,
// and goes where it is told. Nothing is awaited between the click and the call: some browsers would not prompt.
"use strict";

const status = document.getElementById("status");
let waiting = null;

function say(text) {
  status.textContent = text;
  status.focus();
}

const FAILURES = {
  NotAllowedError:
    "No passkey was used. Perhaps you cancelled, it took too long, or there is none on this device: then use another device, or a security key.",
  InvalidStateError: "This device has a passkey for you already.",
  SecurityError:
    "This address cannot use passkeys. Use the address that your administrator gave you.",
  NotSupportedError: "This device cannot make the kind of passkey that is needed here.",
};

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const said = await answer.json();
  if (said.location) location.assign(said.location);
  else say(said.message ?? "This did not work. Reload the page and try again.");
}

async function finish(credential, path, kind) {
  try {
    const response = (await credential).toJSON();
    const name = document.querySelector("input[name=name]")?.value ?? "";
    await post(path, kind === "create" ? { response, name } : response);
  } catch (error) {
    if (error.name !== "AbortError") say(FAILURES[error.name] ?? "This did not work. Try again.");
  }
}

function begin(button, extra) {
  const { passkey, options, answer } = button.dataset;
  const json = JSON.parse(options);
  const publicKey =
    passkey === "create"
      ? PublicKeyCredential.parseCreationOptionsFromJSON(json)
      : PublicKeyCredential.parseRequestOptionsFromJSON(json);
  const credential = navigator.credentials[passkey]({ publicKey, ...extra });
  return finish(credential, answer, passkey);
}

for (const button of document.querySelectorAll("button[data-passkey]")) {
  button.addEventListener("click", () => {
    waiting?.abort();
    waiting = null;
    say("");
    void begin(button, {});
  });
  // Passkeys are offered in the field as soon as the page is there; the button stops that and asks at once.
  if (button.dataset.passkey === "get")
    void PublicKeyCredential.isConditionalMediationAvailable?.().then((isAvailable) => {
      if (!isAvailable) return;
      waiting = new AbortController();
      void begin(button, { mediation: "conditional", signal: waiting.signal });
    });
}

// A pass is in the part of the address that no browser sends: programs that look at links do not spend it.
const pass = document.querySelector("form[data-pass] input[name=pass]");
if (pass && location.hash.length > 1) {
  pass.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
}
