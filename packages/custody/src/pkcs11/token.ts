import type { Secret } from "@redoubt/base";
import { KeyError } from "@redoubt/keys";
import { CKF, CKU_USER, returnValue, type Cryptoki, type Handle } from "./cryptoki.ts";

/** A PKCS#11 token, by its label. This process has one object for it, which holds login, refused PIN and lock. */
export class Token {
  readonly label: string;
  readonly #cryptoki: Cryptoki;
  #accepted: Secret | undefined;
  #refused: Secret | undefined;
  #users = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(cryptoki: Cryptoki, label: string) {
    this.#cryptoki = cryptoki;
    this.label = label;
  }

  join(): void {
    this.#users += 1;
  }

  /** The last one logs out. */
  leave(session: Handle | undefined): void {
    this.#users -= 1;
    if (this.#users > 0) return;
    this.#accepted = undefined;
    if (session) this.#cryptoki.C_Logout(session);
  }

  /** One change at a time: making keys at once in several threads is not safe in every module. */
  async exclusively<T>(change: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(change);
    this.#last = mine.catch(() => undefined);
    return mine;
  }

  /**
   * Finds the token by its label, because the slot that it is in changes from start to start.
   *
   * @throws KeyError `ERR_KEY_BUSY` where it is not there, `ERR_KEY_CUSTODY` where two bear its label
   */
  findSlot(): Handle {
    let cause: unknown;
    const found = this.#cryptoki.C_GetSlotList(true).filter((slot) => {
      try {
        return this.isIn(slot);
      } catch (error) {
        // Somebody else's token that was pulled out must not keep ours from being found.
        cause = error;
        return false;
      }
    });
    const [slot] = found;
    if (found.length > 1)
      throw new KeyError("ERR_KEY_CUSTODY", `${found.length} tokens are labelled ${this.label}`);
    if (!slot) throw new KeyError("ERR_KEY_BUSY", `No token is labelled ${this.label}`, { cause });
    return slot;
  }

  isIn(slot: Handle): boolean {
    // PKCS#11 2.40 §3.2: padded with blanks to 32 bytes.
    return this.#cryptoki.C_GetTokenInfo(slot).label.trimEnd() === this.label;
  }

  isHardware(slot: Handle): boolean {
    return (this.#cryptoki.C_GetSlotInfo(slot).flags & CKF.HW_SLOT) !== 0;
  }

  hasRefused(pin: Secret): boolean {
    return this.#refused?.equals(pin.reveal()) === true;
  }

  /**
   * A token locks after a few wrong PINs, and then somebody must travel to it. So this process does not try a refused PIN
   * again, and leaves the last try to a person.
   *
   * @throws KeyError `ERR_KEY_DENIED`
   */
  login(slot: Handle, session: Handle, pin: Secret): void {
    if (this.hasRefused(pin)) throw this.#denied("refused this PIN before: it is not tried again");
    // A session of this process that is logged in lets every other in, whatever PIN it brings.
    if (this.#accepted && !this.#accepted.equals(pin.reveal()))
      throw this.#denied("was opened with another PIN");
    this.#checkPinFlags(slot);
    try {
      this.#cryptoki.C_Login(session, CKU_USER, pin.reveal());
    } catch (cause) {
      this.#afterFailedLogin(cause, pin);
    }
    this.#accepted = pin;
  }

  #checkPinFlags(slot: Handle): void {
    const { flags } = this.#cryptoki.C_GetTokenInfo(slot);
    if ((flags & CKF.USER_PIN_LOCKED) !== 0) throw this.#denied("has locked its PIN");
    if ((flags & CKF.USER_PIN_FINAL_TRY) !== 0)
      throw this.#denied("has one try left before it locks: log in by hand first");
  }

  #afterFailedLogin(cause: unknown, pin: Secret): void {
    const name = returnValue(cause);
    if (name === "CKR_USER_ALREADY_LOGGED_IN") return;
    if (PIN_IS_WRONG.has(name)) {
      this.#refused = pin;
      // The token compares a PIN only while nobody is logged in. So the login that was accepted before has ended.
      this.#accepted = undefined;
    }
    if (name.startsWith("CKR_PIN_") || name === "CKR_USER_PIN_NOT_INITIALIZED")
      throw this.#denied(`refused the login: ${name}`, cause);
    throw cause;
  }

  #denied(what: string, cause?: unknown): KeyError {
    return new KeyError("ERR_KEY_DENIED", `Token ${this.label} ${what}`, { cause });
  }
}

const PIN_IS_WRONG: ReadonlySet<string> = new Set([
  "CKR_PIN_INCORRECT",
  "CKR_PIN_INVALID",
  "CKR_PIN_LEN_RANGE",
]);
