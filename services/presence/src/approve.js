// The one script of the ceremony page. It asks the browser for a passkey with the options that are in the page, and
// posts the answer. Nothing is awaited between the click and the call: some browsers would not prompt.
"use strict";

const status = document.getElementById("status");
const left = document.getElementById("left");
const approve = document.getElementById("approve");
const decline = document.getElementById("decline");
const buttons = [approve, decline];
let isOver = false;

function say(text) {
  status.textContent = text;
  status.focus();
}

function enable(isEnabled) {
  for (const button of buttons) button.disabled = !isEnabled;
}

const FAILURES = {
  NotAllowedError:
    "No passkey was used, and nothing is approved. Perhaps you cancelled, it took too long, or this device has no passkey that may approve this.",
  SecurityError:
    "This address cannot use your passkeys. Open the page at the address that you were given.",
};
const FAILED = "This did not work, and nothing is approved. Try again.";

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const said = await answer.json();
  isOver = said.isOver === true;
  enable(!isOver);
  say(said.message ?? FAILED);
}

function assertionOf(credential) {
  const { id, response } = credential.toJSON();
  const { clientDataJSON, authenticatorData, signature } = response;
  return { credentialId: id, clientDataJSON, authenticatorData, signature };
}

async function finish(work) {
  enable(false);
  try {
    await work();
  } catch (error) {
    enable(true);
    say(FAILURES[error.name] ?? FAILED);
  }
}

approve.addEventListener("click", () => {
  const { options, answer } = approve.dataset;
  let credential;
  try {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(JSON.parse(options));
    credential = navigator.credentials.get({ publicKey });
  } catch {
    say("This browser cannot use passkeys. Open the page in another one.");
    return;
  }
  void finish(async () => post(answer, assertionOf(await credential)));
});

decline.addEventListener("click", () => {
  void finish(() => post(decline.dataset.answer, {}));
});

function leftText(seconds) {
  if (seconds >= 120) return `${Math.floor(seconds / 60)} minutes`;
  return seconds === 1 ? "1 second" : `${seconds} seconds`;
}

// By the time that has passed here: the clock of this device may be wrong.
const end = performance.now() + Number(left.dataset.seconds) * 1000;
const timer = setInterval(() => {
  const seconds = Math.ceil((end - performance.now()) / 1000);
  if (isOver) {
    clearInterval(timer);
    left.textContent = "";
    return;
  }
  if (seconds > 0) {
    left.textContent = `Still good for ${leftText(seconds)}.`;
    return;
  }
  clearInterval(timer);
  left.textContent = "This has ended.";
  enable(false);
}, 1000);
