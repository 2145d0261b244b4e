import type { CDPSession, Page } from "playwright-core";

export interface VirtualKeyOptions {
  /** The browser has one `internal` authenticator at most. */
  readonly transport: "internal" | "usb";
  /** Whether its passkeys say that they are copied between devices. */
  readonly isSynced?: boolean;
}

/** An authenticator of Chromium's own, which answers at once as long as it is present. */
export class VirtualKey {
  readonly #session: CDPSession;
  readonly #authenticatorId: string;

  private constructor(session: CDPSession, authenticatorId: string) {
    this.#session = session;
    this.#authenticatorId = authenticatorId;
  }

  static async add(
    session: CDPSession,
    { transport, isSynced = false }: VirtualKeyOptions,
  ): Promise<VirtualKey> {
    const { authenticatorId } = await session.send("WebAuthn.addVirtualAuthenticator", {
      options: {
        protocol: "ctap2",
        ctap2Version: "ctap2_1",
        transport,
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: true,
        defaultBackupEligibility: isSynced,
        defaultBackupState: isSynced,
      },
    });
    return new VirtualKey(session, authenticatorId);
  }

  /** While it is absent, the browser waits. */
  async setPresent(isPresent: boolean): Promise<void> {
    const message = { authenticatorId: this.#authenticatorId, enabled: isPresent };
    await this.#session.send("WebAuthn.setAutomaticPresenceSimulation", message);
  }

  async setUserVerified(isUserVerified: boolean): Promise<void> {
    const message = { authenticatorId: this.#authenticatorId, isUserVerified };
    await this.#session.send("WebAuthn.setUserVerified", message);
  }

  /** What it lies about from now on; nothing, by default. */
  async lie(
    bits: { readonly isBogusSignature?: boolean; readonly isBadUV?: boolean } = {},
  ): Promise<void> {
    const message = { authenticatorId: this.#authenticatorId, ...bits };
    await this.#session.send("WebAuthn.setResponseOverrideBits", message);
  }

  /** Ids of its passkeys, base64. */
  async credentials(): Promise<readonly string[]> {
    const message = { authenticatorId: this.#authenticatorId };
    const { credentials } = await this.#session.send("WebAuthn.getCredentials", message);
    return credentials.map(({ credentialId }) => credentialId);
  }

  async forget(): Promise<void> {
    const message = { authenticatorId: this.#authenticatorId };
    await this.#session.send("WebAuthn.clearCredentials", message);
  }
}

/** Lets a page have virtual keys, and no others. */
export async function virtualKeys(page: Page): Promise<CDPSession> {
  const session = await page.context().newCDPSession(page);
  await session.send("WebAuthn.enable", { enableUI: false });
  return session;
}
