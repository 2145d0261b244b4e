import { html, type Html } from "@redoubt/http";
import type { PasskeyErrorCode } from "../passkeys/passkey-error.ts";

/** What failed, in words: what it means, and what to do. */
export interface Failure {
  /** Stands in the title, too. */
  readonly title: string;
  readonly text: string;
  /** Possible causes, where nobody can know which it was. */
  readonly perhaps?: readonly string[];
}

const TOO_LATE = "This page was open for too long";

const REFUSALS: Partial<Readonly<Record<PasskeyErrorCode, Failure>>> = {
  ERR_PASSKEY_CHALLENGE: { title: TOO_LATE, text: "Try again: it is ready now." },
  ERR_PASSKEY_USER_VERIFICATION: {
    title: "Set a PIN on your security key",
    text: "It did not ask for a PIN or finger. Set a PIN on it in the settings of your computer, then try again.",
  },
  ERR_PASSKEY_DELETED: {
    title: "This passkey was deleted",
    text: "It is not of your account any more. Use another one.",
  },
  ERR_PASSKEY_UNATTESTED: {
    title: "This passkey is not approved",
    text: "Your organisation takes passkeys of approved devices only, and this one does not say what it is.",
  },
  ERR_PASSKEY_SYNCED: {
    title: "This passkey is copied between devices",
    text: "Your organisation does not take such passkeys. Use a security key, or this computer itself.",
  },
  ERR_PASSKEY_MODEL: {
    title: "This kind of passkey is not approved",
    text: "Your organisation takes passkeys of some devices only. Ask your administrator which.",
  },
  ERR_PASSKEY_MODEL_STATUS: {
    title: "This kind of passkey is not safe any more",
    text: "Its maker has reported a weakness. Ask your administrator for another one.",
  },
  ERR_PASSKEY_KNOWN: {
    title: "This passkey is registered already",
    text: "Use another device, or a security key.",
  },
  ERR_PASSKEY_COUNT: {
    title: "You have as many passkeys as one may have",
    text: "Delete one that you no longer use.",
  },
};

const OTHERWISE: Failure = {
  title: "This passkey does not work here",
  text: "Use another one. If you have none, ask your administrator for a new pass.",
};

/** The same for all that could tell whether a person exists. */
export function failureOf(code: string): Failure {
  return Object.entries(REFUSALS).find(([known]) => known === code)?.[1] ?? OTHERWISE;
}

/** A failure that has a page of its own, whose heading says what to do. */
export interface FailedPage extends Failure {
  readonly todo: string;
}

export const PASS_REFUSED: Failure = {
  title: "This pass does not work",
  text: "It may have been used, or its time is over. Ask your administrator for a new one.",
};
/** What the protocol library refuses. */
export const START_AGAIN: FailedPage = {
  todo: "Start again at the application",
  title: "This sign-in cannot go on",
  text: "Go back to the application and start again there. If it happens again, tell the people who run it: perhaps it asked for something that it may not have.",
};
export const SIGN_IN_OVER: FailedPage = {
  todo: "Start again at the application",
  title: "This sign-in is over",
  text: "It took too long, or was finished in another tab. Go back to the application and start again there.",
};
export const NOT_NOW: FailedPage = {
  todo: "Try again in a minute",
  title: "Signing in is not possible at the moment",
  text: "It is not your fault, and nothing is lost.",
};

const NO_PASSKEYS: Failure = {
  title: "This browser cannot use passkeys here",
  text: "Open this page in an up-to-date browser, at the address that your administrator gave you.",
};
const PIN = "A security key without a PIN was used: set one in the settings of your computer.";

/** What the page's script may have to say. It has no words of its own. */
export const SCRIPT_TEXTS = {
  unsupported: NO_PASSKEYS,
  waiting: "Waiting for your passkey. Your browser asks for your face, finger or PIN.",
  checking: "Checking…",
  reload: "Reload this page",
  lost: {
    title: "No answer came",
    text: "Check your connection, then reload this page and try again.",
  },
  otherwise: { title: "This did not work", text: "Try again, or use another passkey." },
  get: {
    NotAllowedError: {
      title: "No passkey was used",
      text: "Try again. Nobody can know what it was, but perhaps:",
      perhaps: [
        "You cancelled, or it took too long.",
        "There is no passkey on this device: then use another device, or a security key.",
        PIN,
      ],
    },
    SecurityError: NO_PASSKEYS,
  },
  create: {
    NotAllowedError: {
      title: "No passkey was made",
      text: "Try again. Nobody can know what it was, but perhaps:",
      perhaps: [
        "You cancelled, or it took too long.",
        "This device has no screen lock: set one, or use another device or a security key.",
        PIN,
      ],
    },
    InvalidStateError: {
      title: "This device has a passkey of yours already",
      text: "Use another device, or a security key: if one is lost, the other lets you in.",
    },
    NotSupportedError: {
      title: "This device cannot make such a passkey",
      text: "Use another device, or a security key.",
    },
    ConstraintError: {
      title: "This device cannot make such a passkey",
      text: "Set a screen lock or PIN on it, or use another device or a security key.",
    },
    SecurityError: NO_PASSKEYS,
  },
  /** Names that are suggested, by what the browser says of its machine. The first that fits is taken. */
  devices: [
    ["iPhone", "iPhone"],
    ["iPad", "iPad"],
    ["Android", "Android device"],
    ["CrOS", "Chromebook"],
    ["Windows", "Windows computer"],
    ["Macintosh", "Mac"],
    ["Linux", "Linux computer"],
  ],
  phone: "Phone",
  securityKey: "Security key",
} as const;

/** What a person reads on our pages; bold is what comes from somebody else. */
export const TEXTS = {
  noScript: "Passkeys need JavaScript. Allow it for this page, then reload it.",
  whatIsIt: {
    title: "What is a passkey?",
    text: "A key that stays in your device and replaces a password. Your face, finger or PIN unlocks it, and is never sent to us. It works at this address only, so that a forged page gets nothing.",
  },
  organisation: (name: string): Html => html` at ${name}`,
  signIn: {
    title: (client: string): string => `Sign in to ${client}`,
    own: "Sign in to see your passkeys",
    ask: (client: string): Html => html`Use your passkey to go on to <strong>${client}</strong>`,
    askOwn: html`Use your passkey to see, name, add or delete your passkeys`,
    again: "A change needs you again: use your passkey once more, then repeat it.",
    button: "Use a passkey",
    how: "Your phone, your computer or a security key asks for your face, finger or PIN. Nothing is typed here, so nothing that you type can be stolen.",
    field: "Or choose it from the list in this field",
    none: "I have no passkey on this device",
    elsewhere: [
      "On your phone or another computer: press the button, choose “another device” in what your browser shows, and scan the code with that device.",
      "On a security key: plug it in or hold it to the reader, then press the button.",
      "Nowhere any more: ask your administrator for a new pass. Nobody here will ever ask you for a password or a code.",
    ],
    cancel: (client: string): string => `Cancel and go back to ${client}`,
  },
  consent: {
    title: (client: string): string => `Allow ${client}?`,
    ask: (client: string, person: string): Html =>
      html`Decide what <strong>${client}</strong> may do for you, <strong>${person}</strong>.`,
    wants: "It asks to:",
    host: (host: string): Html =>
      html`You go on to <strong>${host}</strong>. If that is not the place where you came from, do
        not allow it.`,
    allow: "Allow",
    deny: "Do not allow",
    scopes: {
      openid: "know who you are here",
      profile: "see your name",
      email: "see your e-mail address",
      offline_access: "stay signed in while you are away",
    },
    scope: (resource: string): string => `act for you at ${resource} with the right`,
  },
  pass: {
    title: "Enter your pass",
    ask: "Enter the pass that your administrator gave you. It works once, and lets you register your passkeys.",
    field: "Pass",
    button: "Go on",
  },
  register: {
    title: (nth: number, of: number): string =>
      of > 1 ? `Register passkey ${nth} of ${of}` : "Register a passkey",
    more: "Register another passkey",
    ask: (missing: number): string =>
      missing > 1
        ? `Register ${missing} passkeys, each on another device.`
        : "Register one more passkey, on another device or a security key.",
    askOne: "Register a passkey on this device, another device or a security key.",
    why: "If one is lost or broken, the other lets you in. That is the only way back without your administrator.",
    person: (person: string): Html => html`For <strong>${person}</strong>`,
    field: "Name of the passkey",
    hint: "So that you know it again in your list.",
    button: "Register a passkey",
  },
  registered: {
    title: "You are ready",
    ask: "Go to your application and sign in there with your passkey.",
    state: "Your passkeys are registered",
    list: "See your passkeys",
  },
  passkeys: {
    title: "My passkeys",
    ask: (count: number, required: number): string =>
      count < required
        ? `You have ${passkeysInWords(count)}, and need ${required}: register another one on another device.`
        : `Nothing needs you: you have ${passkeysInWords(count)}. ${count > required ? "Delete those that you lost." : "That is as many as you need."}`,
    needed: (count: number): string => `Register ${count} more passkey${count === 1 ? "" : "s"}`,
    neededWhy:
      "You cannot sign in to applications before: if one is lost, the other must let you in.",
    person: (person: string): Html => html`Signed in as <strong>${person}</strong>`,
    synced: "copied between your devices",
    bound: "on one device only",
    created: "Registered",
    used: "Last used",
    never: "never",
    name: (name: string): string => `Name of ${name}`,
    rename: "Rename",
    remove: (name: string): string => `Delete ${name}`,
    removeAsk: (name: string): string =>
      `Delete ${name} for ever? It will not let you in any more.`,
    kept: (required: number): string =>
      `Cannot be deleted: you need ${required}. Register another one first.`,
    refused: (required: number): Failure => ({
      title: "The passkey was not deleted",
      text: `You need ${required}. Register another one first.`,
    }),
    add: "Register another passkey",
    leave: "Sign out of this page",
  },
  signOut: {
    title: "Sign out?",
    ask: "Choose whether to sign out of all applications of your organisation in this browser.",
    yes: "Sign out",
    no: "Stay signed in",
  },
  signedOut: {
    title: "You are signed out",
    ask: "Nothing is left to do: you can close this page.",
  },
} as const;

function passkeysInWords(count: number): string {
  return count === 1 ? "1 passkey" : `${count} passkeys`;
}
