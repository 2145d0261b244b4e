import { statSync } from "node:fs";
import { isAbsolute } from "node:path";
import { KeyError } from "@redoubt/keys";
import { CKF, isCryptoki, returnValue, type Cryptoki } from "./cryptoki.ts";
import { Token } from "./token.ts";

const OPEN_TO_OTHERS = 0o022;

// Initialisation, login and C_Finalize of a PKCS#11 module hold for the whole process (PKCS#11 2.40 §5.4, §5.6). So who
// shares a module must be known for the whole process, too.
const loaded = new Map<string, Pkcs11Module>();

/**
 * Loads the HSM's module. A step of its own because it is the only one that needs the permission to load native
 * code: whoever starts the process drops that permission afterwards.
 *
 * @throws KeyError `ERR_KEY_MODULE` where the binding or the module is absent, not allowed or open to others
 */
export async function loadPkcs11(path: string): Promise<Pkcs11Module> {
  const known = loaded.get(path);
  if (known) return known;
  checkModuleFile(path);
  const binding = await loadBinding(path);
  // Somebody else may have loaded it while the import was under way.
  const module = loaded.get(path) ?? new Pkcs11Module(path, binding);
  loaded.set(path, module);
  return module;
}

async function loadBinding(path: string): Promise<Cryptoki> {
  const { PKCS11 } = await importBinding();
  const binding = new PKCS11();
  try {
    binding.load(path);
  } catch (cause) {
    throw moduleRefused(`${path} does not load`, { cause });
  }
  if (!isCryptoki(binding)) throw new KeyError("ERR_KEY_MODULE", "pkcs11js lacks calls");
  return binding;
}

async function importBinding() {
  try {
    return (await import("pkcs11js")).default;
  } catch (cause) {
    throw new KeyError(
      "ERR_KEY_MODULE",
      "The optional package pkcs11js is not there, or this process may not load native code",
      { cause },
    );
  }
}

// THREAT-32, THREAT-33: whoever can write this file runs inside the process that holds the PIN. Not looked for in a
// search path, which the environment could turn elsewhere.
function checkModuleFile(path: string): void {
  if (!isAbsolute(path)) throw moduleRefused(`${path} must be an absolute path`);
  let stat;
  try {
    stat = statSync(path);
  } catch (cause) {
    throw moduleRefused(`${path} cannot be examined`, { cause });
  }
  const isOwned = stat.uid === 0 || stat.uid === process.getuid?.();
  if (!stat.isFile() || !isOwned || (stat.mode & OPEN_TO_OTHERS) !== 0)
    throw moduleRefused(`${path} must be a file that only root or this user can write`);
}

function moduleRefused(message: string, options?: ErrorOptions): KeyError {
  return new KeyError("ERR_KEY_MODULE", `PKCS#11 module ${message}`, options);
}

/** A loaded module. It is initialised while anybody uses it: each `join` has a `leave`, and the last one finalises. */
export class Pkcs11Module {
  readonly path: string;
  readonly cryptoki: Cryptoki;
  readonly #tokens = new Map<string, Token>();
  #users = 0;
  #underWay = 0;
  #isInitialisedByUs = false;
  #generation = 0;

  constructor(path: string, cryptoki: Cryptoki) {
    this.path = path;
    this.cryptoki = cryptoki;
  }

  /** Changes whenever all sessions and handles of this module became void. */
  get generation(): number {
    return this.#generation;
  }

  /** The token with this label, one object for the whole process. */
  token(label: string): Token {
    const token = this.#tokens.get(label) ?? new Token(this.cryptoki, label);
    this.#tokens.set(label, token);
    return token;
  }

  /** @throws KeyError `ERR_KEY_BUSY` where the module does not initialise now, `ERR_KEY_MODULE` where it never will */
  join(): void {
    if (!this.#isInitialisedByUs) this.#initialise();
    this.#users += 1;
  }

  leave(): void {
    this.#users -= 1;
    this.#finaliseWhenUnused();
  }

  /** Counts a call that runs in the thread pool: until it ends, the module is not finalised. */
  async during<T>(call: Promise<T>): Promise<T> {
    this.#underWay += 1;
    try {
      return await call;
    } finally {
      this.#underWay -= 1;
      this.#finaliseWhenUnused();
    }
  }

  /**
   * Finalises the module and initialises it anew: some modules do not see a token that came back before that. It also
   * starts a module that did not start. While a call is under way it does nothing. A module that other code of this
   * process initialised is not finalised here; it starts anew once that code has finalised it.
   *
   * @throws as `join`; the next call tries again
   */
  restart(): void {
    if (this.#underWay > 0) return;
    this.#finalise();
    this.#initialise();
  }

  #initialise(): void {
    try {
      // Without this flag the module may take no locks at all, and RSA signs in other threads.
      this.cryptoki.C_Initialize({ flags: CKF.OS_LOCKING_OK });
    } catch (cause) {
      const name = returnValue(cause);
      if (name === "CKR_CRYPTOKI_ALREADY_INITIALIZED") return;
      const code = NEVER_INITIALISES.has(name) ? "ERR_KEY_MODULE" : "ERR_KEY_BUSY";
      const message = `${this.path} does not initialise: ${name}`;
      throw new KeyError(code, `PKCS#11 module ${message}`, { cause });
    }
    this.#isInitialisedByUs = true;
    this.#generation += 1;
  }

  // A call that hangs in the HSM still stands in the module: ending it under that call would crash the process.
  #finaliseWhenUnused(): void {
    if (this.#users > 0 || this.#underWay > 0) return;
    try {
      this.#finalise();
    } catch {
      // Nobody is left to be told; the next one starts it anew.
    }
  }

  #finalise(): void {
    if (!this.#isInitialisedByUs) return;
    this.#generation += 1;
    try {
      this.cryptoki.C_Finalize();
    } catch (error) {
      // Ended by somebody else; after any other failure it is still ours to end.
      if (returnValue(error) !== "CKR_CRYPTOKI_NOT_INITIALIZED") throw error;
    }
    this.#isInitialisedByUs = false;
  }
}

/** What no waiting mends: the module cannot work with the locks that a process with threads needs. */
const NEVER_INITIALISES: ReadonlySet<string> = new Set([
  "CKR_ARGUMENTS_BAD",
  "CKR_CANT_LOCK",
  "CKR_NEED_TO_CREATE_THREADS",
]);
