import { nowSeconds, type Clock } from "@redoubt/base";
import { readForm, type HttpAnswer, type HttpRequest } from "@redoubt/http";
import { StoreError, type PeopleStore } from "@redoubt/store";
import { Base64urlError, decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import type { JsonObject } from "@redoubt/verify/json";
import type { TenantPath } from "../login-place.ts";
import type { OwnSession, OwnSessions } from "../own-sessions.ts";
import { pageAnswer, scriptAnswer, seeOther } from "../page-answer.ts";
import { pages } from "../pages/index.ts";
import { cleanName } from "./passkey-registration.ts";
import type { PasskeySignIn } from "./passkey-sign-in.ts";
import { orRetry } from "./refused-ceremony.ts";

export interface AccountParts {
  readonly signIn: PasskeySignIn;
  readonly sessions: OwnSessions;
  readonly store: Pick<PeopleStore, "passkeys">;
  readonly required: number;
  readonly clock: Clock;
}

/** M8: whoever finds an open browser must not register a passkey of his own in it. */
const RECENT_SECONDS = 300;
/** Query of the page that says why it asks for the passkey once more. */
const AGAIN = "again";

/** A person's own passkeys: names, last use, another one, one less. */
export class AccountFlow {
  readonly #parts: AccountParts;

  constructor(parts: AccountParts) {
    this.#parts = parts;
  }

  /** Undefined for a path of somebody else. */
  async answer(
    request: HttpRequest,
    place: TenantPath,
    body: () => JsonObject,
  ): Promise<HttpAnswer | undefined> {
    const { path, tenant, mount } = place;
    if (path === "/registered" && request.method === "GET")
      return pageAnswer(pages.registered({ mount }));
    if (path === "/passkeys" && request.method === "GET") return this.#show(request, place);
    if (request.method !== "POST" || !path.startsWith("/passkeys/")) return undefined;
    if (path === "/passkeys/sign-in") return this.#enter(place, body());
    const { sessions } = this.#parts;
    const session = await sessions.find("Account", tenant, request);
    const home = `${mount}/passkeys`;
    if (path === "/passkeys/leave")
      return seeOther(home, [await sessions.end("Account", tenant, request)]);
    if (!session) return seeOther(home);
    // A change needs the person, not only her browser.
    if (nowSeconds(this.#parts.clock) - session.since > RECENT_SECONDS)
      return seeOther(`${home}?${AGAIN}`, [await sessions.end("Account", tenant, request)]);
    if (path === "/passkeys/add")
      return seeOther(`${mount}/register`, [
        await sessions.begin("Registration", session.person, "passkey"),
      ]);
    if (path === "/passkeys/rename") return this.#rename(request, session, home);
    if (path === "/passkeys/remove") return this.#remove(request, session, place);
    return undefined;
  }

  async #show(request: HttpRequest, place: TenantPath): Promise<HttpAnswer> {
    const { tenant, mount } = place;
    const { sessions, signIn } = this.#parts;
    const session = await sessions.find("Account", tenant, request);
    if (!session)
      return pageAnswer(
        pages.signIn({
          mount,
          organisation: signIn.organisation,
          isAgain: request.query === AGAIN,
          options: await signIn.options(purposeOf(tenant)),
          answerPath: `${mount}/passkeys/sign-in`,
        }),
      );
    return this.#list(session, mount);
  }

  async #list({ person }: OwnSession, mount: string, kept?: Uint8Array): Promise<HttpAnswer> {
    const { store, signIn, required } = this.#parts;
    const passkeys = await store.passkeys.list(person.id);
    const displayName = person.displayName ?? person.userName;
    return pageAnswer(
      pages.passkeys({
        mount,
        person: displayName,
        required,
        signals: {
          rpId: signIn.rpId,
          userId: encodeBase64url(person.handle),
          name: person.userName,
          displayName,
        },
        ...(kept && { kept: encodeBase64url(kept) }),
        passkeys: passkeys.map(({ credentialId, name, created, lastUsed, backupEligible }) => ({
          id: encodeBase64url(credentialId),
          name,
          created,
          lastUsed,
          isSynced: backupEligible,
        })),
      }),
      { status: kept ? 409 : 200 },
    );
  }

  async #enter({ tenant, mount }: TenantPath, response: unknown): Promise<HttpAnswer> {
    const { signIn, sessions } = this.#parts;
    const purpose = purposeOf(tenant);
    const { person } = await orRetry(signIn.verify(tenant, purpose, response), () =>
      signIn.options(purpose),
    );
    const cookie = await sessions.begin("Account", person, "sign-in");
    return scriptAnswer({ location: `${mount}/passkeys` }, { cookies: [cookie] });
  }

  async #rename(request: HttpRequest, { person }: OwnSession, home: string): Promise<HttpAnswer> {
    const form = readForm(request, { maxParameters: 2 });
    const id = readId(form);
    if (id) await this.#renameKnown(person.id, id, cleanName(form.get("name") ?? ""));
    return seeOther(home);
  }

  async #renameKnown(person: string, id: Uint8Array, name: string): Promise<void> {
    try {
      await this.#parts.store.passkeys.rename(person, id, name);
    } catch (error) {
      // Deleted in another tab: the list says so.
      if (!(error instanceof StoreError) || error.code !== "ERR_STORE_MISSING") throw error;
    }
  }

  async #remove(
    request: HttpRequest,
    session: OwnSession,
    { mount }: TenantPath,
  ): Promise<HttpAnswer> {
    const { store, required } = this.#parts;
    const id = readId(readForm(request, { maxParameters: 1 }));
    // Nobody deletes the way in that is left: the store counts in the same transaction.
    const outcome =
      id && (await store.passkeys.remove(session.person.id, id, { atLeast: required }));
    if (outcome === "too-few") return this.#list(session, mount, id);
    return seeOther(`${mount}/passkeys`);
  }
}

function purposeOf(tenant: string): string {
  return `${tenant}/passkeys`;
}

function readId(form: ReadonlyMap<string, string>): Uint8Array | undefined {
  try {
    return decodeBase64url(form.get("id") ?? "", { maxBytes: 1023 });
  } catch (error) {
    if (error instanceof Base64urlError) return undefined;
    throw error;
  }
}
