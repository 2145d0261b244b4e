import { html, jsonText, type Html } from "@redoubt/http";
import { notice, page } from "./layout.ts";
import { TEXTS, type Failure } from "./messages.ts";
import { action, passkeyButton, whatIsIt, type CeremonyView } from "./parts.ts";

export interface RegisterView extends CeremonyView {
  readonly person: string;
  readonly organisation: string;
  /** How many the person has. */
  readonly count: number;
  readonly required: number;
}

export interface ListedPasskey {
  readonly id: string;
  readonly name: string;
  /** POSIX seconds, as `lastUsed`. */
  readonly created: number;
  readonly lastUsed: number | null;
  readonly isSynced: boolean;
}

export interface PasskeysView {
  readonly mount: string;
  readonly person: string;
  readonly passkeys: readonly ListedPasskey[];
  readonly required: number;
  /** What authenticators are told, so that they offer no passkey that was deleted (WebAuthn §5.1.10). */
  readonly signals: {
    readonly rpId: string;
    readonly userId: string;
    readonly name: string;
    readonly displayName: string;
  };
  /** The passkey that could not be deleted. */
  readonly kept?: string;
}

const { pass: PASS, register: REGISTER, registered: REGISTERED, passkeys: PASSKEYS } = TEXTS;
const MAX_NAME = 64;

export function passPage(view: { readonly mount: string; readonly failure?: Failure }): string {
  const { mount, failure } = view;
  return page({
    title: PASS.title,
    mount,
    hasScript: true,
    failure,
    content: html`<p>${PASS.ask}</p>
      ${notice(failure)}
      <form method="post" action="${mount}/register/pass" data-pass class="fields">
        <label
          >${PASS.field}
          <input
            name="pass"
            class="mono"
            autocomplete="off"
            autocapitalize="off"
            spellcheck="false"
            required
        /></label>
        <button type="submit">${PASS.button}</button>
      </form>
      ${whatIsIt()}`,
  });
}

export function registerPage(view: RegisterView): string {
  const { count, required, person, organisation } = view;
  const missing = required - count;
  const first = required > 1 ? REGISTER.ask(missing) : REGISTER.askOne;
  return page({
    title: missing > 0 ? REGISTER.title(count + 1, required) : REGISTER.more,
    mount: view.mount,
    hasScript: true,
    content: html`<p>${missing > 0 ? first : REGISTER.askOne}</p>
      ${required > 1 && missing > 0 ? html`<p class="soft">${REGISTER.why}</p>` : ""}
      <p class="soft">${REGISTER.person(person)}${TEXTS.organisation(organisation)}.</p>
      ${notice()}
      <label
        >${REGISTER.field}
        <input name="name" maxlength="${MAX_NAME}" autocomplete="off" aria-describedby="hint" />
        <small id="hint" class="soft">${REGISTER.hint}</small>
      </label>
      ${passkeyButton("create", view, REGISTER.button)} ${whatIsIt()}`,
  });
}

export function registeredPage({ mount }: { readonly mount: string }): string {
  return page({
    title: REGISTERED.title,
    mount,
    content: html`<p>${REGISTERED.ask}</p>
      <p class="state good">${REGISTERED.state}</p>
      <p><a href="${mount}/passkeys">${REGISTERED.list}</a></p>`,
  });
}

export function passkeysPage(view: PasskeysView): string {
  const { mount, person, passkeys, required, kept } = view;
  const missing = required - passkeys.length;
  const failure = kept === undefined ? undefined : PASSKEYS.refused(required);
  const signals = { ...view.signals, allAcceptedCredentialIds: passkeys.map(({ id }) => id) };
  return page({
    title: missing > 0 ? PASSKEYS.needed(missing) : PASSKEYS.title,
    mount,
    hasScript: true,
    failure,
    content: html`<p>${PASSKEYS.ask(passkeys.length, required)}</p>
      ${missing > 0 ? html`<p class="notice warn state">${PASSKEYS.neededWhy}</p>` : ""}
      <p class="soft">${PASSKEYS.person(person)}.</p>
      <ul class="passkeys" data-signals="${jsonText(signals)}">
        ${passkeys.map((one) => listed(one, view, one.id === kept ? failure : undefined))}
      </ul>
      <form method="post" action="${mount}/passkeys/add">
        <button type="submit">${PASSKEYS.add}</button>
      </form>
      ${action(`${mount}/passkeys/leave`, PASSKEYS.leave)}`,
  });
}

function listed(
  one: ListedPasskey,
  { mount, passkeys, required }: PasskeysView,
  failure?: Failure,
): Html {
  const id = html`<input type="hidden" name="id" value="${one.id}" />`;
  const lastUsed = one.lastUsed === null ? html`${PASSKEYS.never}` : day(one.lastUsed);
  return html`<li>
    <h2>${one.name}</h2>
    <p class="state ${one.isSynced ? "quiet" : "good"}">
      ${one.isSynced ? PASSKEYS.synced : PASSKEYS.bound}
    </p>
    <p class="soft">${PASSKEYS.created} ${day(one.created)} · ${PASSKEYS.used} ${lastUsed}</p>
    ${failure ? notice(failure) : ""}
    <form method="post" action="${mount}/passkeys/rename" class="line">
      ${id}
      <input
        name="name"
        value="${one.name}"
        maxlength="${MAX_NAME}"
        aria-label="${PASSKEYS.name(one.name)}"
        autocomplete="off"
        required
      />
      <button type="submit" class="quiet">${PASSKEYS.rename}</button>
    </form>
    ${
      passkeys.length > required
        ? html`<details>
            <summary>${PASSKEYS.remove(one.name)}</summary>
            <p>${PASSKEYS.removeAsk(one.name)}</p>
            <form method="post" action="${mount}/passkeys/remove">
              ${id}<button type="submit" class="danger">${PASSKEYS.remove(one.name)}</button>
            </form>
          </details>`
        : html`<p class="soft">${PASSKEYS.kept(required)}</p>`
    }
  </li>`;
}

function day(seconds: number): Html {
  const text = new Date(seconds * 1000).toISOString().slice(0, 10);
  return html`<time datetime="${text}">${text}</time>`;
}
