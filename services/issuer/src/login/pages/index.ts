import { Html, html, jsonText } from "@redoubt/http";
import { page } from "./layout.ts";
import { START_AGAIN } from "./messages.ts";

/** What a page with a passkey button needs: options of the browser's call, and where its answer goes. */
export interface CeremonyView {
  readonly mount: string;
  readonly options: object;
  /** Path to which the answer is posted. */
  readonly answerPath: string;
}

export interface SignInView extends CeremonyView {
  /** The application, or undefined where a person sees to her own passkeys. */
  readonly client?: string;
  readonly cancelPath?: string;
}

export interface ConsentView {
  readonly mount: string;
  readonly client: string;
  readonly person: string;
  /** What the application asks for, in words. */
  readonly scopes: readonly string[];
  readonly consentPath: string;
  readonly cancelPath: string;
}

export interface ListedPasskey {
  readonly id: string;
  readonly name: string;
  readonly created: number;
  readonly lastUsed: number | null;
  readonly isSynced: boolean;
}

export interface PasskeysView {
  readonly mount: string;
  readonly person: string;
  readonly passkeys: readonly ListedPasskey[];
  readonly required: number;
}

function status(): Html {
  return html`<p id="status" role="alert" tabindex="-1"></p>`;
}

function button(kind: "get" | "create", view: CeremonyView, text: string): Html {
  return html`<button
    type="button"
    data-passkey="${kind}"
    data-options="${jsonText(view.options)}"
    data-answer="${view.answerPath}"
  >
    ${text}
  </button>`;
}

function action(path: string, text: string, fields: Html = html``): Html {
  return html`<form method="post" action="${path}">
    ${fields}<button type="submit" class="quiet">${text}</button>
  </form>`;
}

function day(seconds: number | null): string {
  return seconds === null ? "never" : new Date(seconds * 1000).toISOString().slice(0, 10);
}

/** Every page of sign-in. Values come from anybody; markup is ours. */
export const pages = {
  signIn: (view: SignInView): string =>
    page({
      title: "Sign in",
      mount: view.mount,
      hasScript: true,
      content: html`${
          view.client === undefined
            ? html`<p class="soft">to see to your passkeys.</p>`
            : html`<p class="soft">to <strong>${view.client}</strong>.</p>`
        }
        <label class="soft"
          >Passkey
          <input name="username" autocomplete="username webauthn" placeholder="choose a passkey" />
        </label>
        ${button("get", view, "Use a passkey")} ${status()}
        ${view.cancelPath === undefined ? "" : action(view.cancelPath, "Cancel")}`,
    }),
  consent: (view: ConsentView): string =>
    page({
      title: `Allow ${view.client}?`,
      mount: view.mount,
      content: html`<p>
          Signed in as <strong>${view.person}</strong>. <strong>${view.client}</strong> asks for:
        </p>
        <ul>
          ${view.scopes.map((scope) => html`<li>${scope}</li>`)}
        </ul>
        <form method="post" action="${view.consentPath}">
          <button type="submit">Allow</button>
        </form>
        ${action(view.cancelPath, "Cancel")}`,
    }),
  pass: (view: { readonly mount: string; readonly error?: string }): string =>
    page({
      title: "Register a passkey",
      mount: view.mount,
      hasScript: true,
      content: html`<p>Your administrator gave you a pass. It works once.</p>
        <form method="post" action="${view.mount}/register/pass" data-pass>
          <label>Pass <input name="pass" autocomplete="off" required /></label>
          <button type="submit">Go on</button>
        </form>
        <p id="status" role="alert" tabindex="-1">${view.error ?? ""}</p>`,
    }),
  register: (view: CeremonyView & { readonly person: string; readonly missing: number }): string =>
    page({
      title: "Register a passkey",
      mount: view.mount,
      hasScript: true,
      content: html`<p>
          For <strong>${view.person}</strong>.
          ${
            view.missing > 1
              ? html`You need ${view.missing} more, on different devices: if one is lost, the other
                lets you in.`
              : ""
          }
        </p>
        <label>Name it <input name="name" maxlength="64" placeholder="this laptop" /></label>
        ${button("create", view, "Register a passkey")} ${status()}`,
    }),
  registered: (view: { readonly mount: string }): string =>
    page({
      title: "You are ready",
      mount: view.mount,
      content: html`<p>
        Your passkey is registered. Go to your application and sign in, or
        <a href="${view.mount}/passkeys">see your passkeys</a>.
      </p>`,
    }),
  passkeys: (view: PasskeysView): string =>
    page({
      title: "My passkeys",
      mount: view.mount,
      content: html`<p>Signed in as <strong>${view.person}</strong>.</p>
        <ul class="passkeys">
          ${view.passkeys.map(
            (one) =>
              html`<li>
                <form method="post" action="${view.mount}/passkeys/rename">
                  <input type="hidden" name="id" value="${one.id}" />
                  <label>Name <input name="name" value="${one.name}" maxlength="64" /></label>
                  <button type="submit" class="quiet">Rename</button>
                </form>
                <p class="soft">
                  ${one.isSynced ? "copied between devices" : "on one device"}, registered
                  ${day(one.created)}, last used ${day(one.lastUsed)}
                </p>
                ${
                  view.passkeys.length > view.required
                    ? action(
                        `${view.mount}/passkeys/remove`,
                        `Delete ${one.name}`,
                        html`<input type="hidden" name="id" value="${one.id}" />`,
                      )
                    : html`<p class="soft">
                        Not to be deleted: you need ${view.required}. Register another one first.
                      </p>`
                }
              </li>`,
          )}
        </ul>
        ${action(`${view.mount}/passkeys/add`, "Register another passkey")}
        ${action(`${view.mount}/passkeys/leave`, "Sign out")}`,
    }),
  /** `form` is the protocol library's, with its secret against forged requests. */
  signOut: (view: { readonly mount: string; readonly form: string }): string =>
    page({
      title: "Sign out?",
      mount: view.mount,
      content: html`<p>You will be signed out of all applications of this organisation.</p>
        ${new Html(view.form)}
        <button type="submit" form="op.logoutForm" name="logout" value="yes">Sign out</button>
        <button type="submit" form="op.logoutForm" class="quiet">Stay signed in</button>`,
    }),
  signedOut: (view: { readonly mount: string }): string =>
    page({
      title: "You are signed out",
      mount: view.mount,
      content: html`<p>You can close this page.</p>`,
    }),
  failed: (view: { readonly mount: string; readonly text?: string }): string =>
    page({
      title: "This did not work",
      mount: view.mount,
      content: html`<p role="alert">${view.text ?? START_AGAIN}</p>`,
    }),
};
