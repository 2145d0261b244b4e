import { html, type Html } from "@redoubt/http";
import { notice, page } from "./layout.ts";
import { TEXTS, type FailedPage } from "./messages.ts";
import { action, passkeyButton, whatIsIt, type CeremonyView } from "./parts.ts";

export interface SignInView extends CeremonyView {
  readonly organisation: string;
  /** The application, or undefined where a person sees to her own passkeys. */
  readonly client?: string;
  readonly cancelPath?: string;
  /** Whether she was here a while ago, and wanted to change something. */
  readonly isAgain?: boolean;
}

export interface AskedScope {
  readonly scope: string;
  /** The API at which it is good; undefined for scopes of the sign-in itself. */
  readonly resource?: string;
}

export interface ConsentView {
  readonly mount: string;
  readonly client: string;
  readonly organisation: string;
  readonly person: string;
  /** Host of the address to which the person goes on. */
  readonly host: string;
  readonly scopes: readonly AskedScope[];
  readonly consentPath: string;
  readonly cancelPath: string;
}

const { signIn: SIGN_IN, consent: CONSENT } = TEXTS;

/** THREAT-18: the one way in, and no link to another. */
export function signInPage(view: SignInView): string {
  const { client, organisation, cancelPath, isAgain = false } = view;
  return page({
    title: client === undefined ? SIGN_IN.own : SIGN_IN.title(client),
    mount: view.mount,
    hasScript: true,
    content: html`<p>
        ${client === undefined ? SIGN_IN.askOwn : SIGN_IN.ask(client)}${TEXTS.organisation(organisation)}.
      </p>
      ${isAgain ? html`<p class="notice warn">${SIGN_IN.again}</p>` : ""} ${notice()}
      ${passkeyButton("get", view, SIGN_IN.button)} ${autofill()}
      <p class="soft">${SIGN_IN.how}</p>
      <details>
        <summary>${SIGN_IN.none}</summary>
        <ul class="soft">
          ${SIGN_IN.elsewhere.map((one) => html`<li>${one}</li>`)}
        </ul>
      </details>
      ${whatIsIt()}
      ${cancelPath === undefined ? "" : action(cancelPath, SIGN_IN.cancel(client ?? organisation))}`,
  });
}

/** Shown by the script where the browser can offer passkeys in it. HTML §4.10.18.7.1: `webauthn` stands last. */
function autofill(): Html {
  return html`<label id="autofill" class="soft" hidden
    >${SIGN_IN.field}
    <input name="username" autocomplete="username webauthn" />
  </label>`;
}

export function consentPage(view: ConsentView): string {
  const { client, person, host, scopes } = view;
  return page({
    title: CONSENT.title(client),
    mount: view.mount,
    content: html`<p>${CONSENT.ask(client, person)}</p>
      <p id="asked">${CONSENT.wants}</p>
      <ul class="scopes" aria-labelledby="asked">
        ${scopes.map((one) => html`<li>${inWords(one)} <code>${one.scope}</code></li>`)}
      </ul>
      <p class="soft">${CONSENT.host(host)}</p>
      <form method="post" action="${view.consentPath}">
        <button type="submit">${CONSENT.allow}</button>
      </form>
      ${action(view.cancelPath, CONSENT.deny)}`,
  });
}

function inWords({ scope, resource }: AskedScope): string {
  if (resource !== undefined) return CONSENT.scope(resource);
  return Object.entries(CONSENT.scopes).find(([known]) => known === scope)?.[1] ?? "";
}

/** `form` is the protocol library's, with its secret against forged requests. */
export function signOutPage(view: { readonly mount: string; readonly form: Html }): string {
  const { title, ask, yes, no } = TEXTS.signOut;
  return page({
    title,
    mount: view.mount,
    content: html`<p>${ask}</p>
      ${view.form}
      <button type="submit" form="op.logoutForm" name="logout" value="yes">${yes}</button>
      <button type="submit" form="op.logoutForm" class="quiet">${no}</button>`,
  });
}

export function signedOutPage({ mount }: { readonly mount: string }): string {
  const { title, ask } = TEXTS.signedOut;
  const content = html`<p>${ask}</p>
    <p class="state good">${title}</p>`;
  return page({ title, mount, content });
}

export function failedPage(view: { readonly mount: string; readonly text: FailedPage }): string {
  const { mount, text: failure } = view;
  return page({ title: failure.todo, mount, failure, content: notice(failure) });
}
