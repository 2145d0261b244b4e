import type { PasskeyErrorCode } from "../passkeys/passkey-error.ts";

/** Every text that a person may read when something fails: what it means, and what to do. */
const MESSAGES: Partial<Readonly<Record<PasskeyErrorCode, string>>> = {
  ERR_PASSKEY_CHALLENGE: "This page was open for too long. Reload it and try again.",
  ERR_PASSKEY_USER_VERIFICATION:
    "Your security key did not ask for a PIN or finger. Set a PIN on it, then try again.",
  ERR_PASSKEY_UNATTESTED:
    "Your organisation takes passkeys of approved devices only, and this one does not say what it is.",
  ERR_PASSKEY_SYNCED:
    "Your organisation takes no passkey that is copied between devices. Use a security key or this computer itself.",
  ERR_PASSKEY_MODEL: "Your organisation does not take this kind of passkey.",
  ERR_PASSKEY_MODEL_STATUS:
    "The maker of this passkey has reported a weakness in it. Ask your administrator for another one.",
  ERR_PASSKEY_KNOWN: "This passkey is registered already.",
  ERR_PASSKEY_COUNT:
    "You have as many passkeys as one may have. Delete one that you no longer use.",
};

const OTHERWISE =
  "This passkey does not work here. Try another one, or ask your administrator for a new pass.";

export function messageOf(code: string): string {
  return Object.entries(MESSAGES).find(([known]) => known === code)?.[1] ?? OTHERWISE;
}

export const PASS_REFUSED =
  "This pass does not work. It may have been used, or its time is over. Ask your administrator for a new one.";
export const START_AGAIN =
  "This sign-in is over: it took too long, or was finished in another tab. Go back to the application and start again.";
export const NOT_NOW = "Signing in is not possible at the moment. Try again in a minute.";
