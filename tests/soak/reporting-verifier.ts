import { issuerTemplate, readDemo, readSettings, portsFrom, REALMS } from "@redoubt/cli";
import {
  createReportQueue,
  createVerifier,
  fromDiscovery,
  TokenError,
  type ReportAlarm,
  type ReportQueue,
  type Verifier,
} from "@redoubt/verify";

export interface VerifierFigures {
  readonly verified: number;
  readonly acknowledged: number;
  /** Codes of tokens that an issuer gave and this refused. */
  readonly refusals: readonly string[];
  /** What its queue said that a person must look at. */
  readonly queueAlarms: readonly string[];
  readonly dropped: number;
}

/** A resource server of both realms: validates a sample of what the clients get, and reports it. */
export class ReportingVerifier implements AsyncDisposable {
  readonly #verifier: Verifier;
  readonly #reports: ReportQueue;
  readonly #queueAlarms: ReportAlarm[];
  readonly #refusals: string[] = [];
  readonly #openedAt = Date.now();
  #verified = 0;

  private constructor(verifier: Verifier, reports: ReportQueue, queueAlarms: ReportAlarm[]) {
    this.#verifier = verifier;
    this.#reports = reports;
    this.#queueAlarms = queueAlarms;
  }

  static async open(folder: string): Promise<ReportingVerifier> {
    const { port, realms, ack } = readSettings(folder);
    const { clients, reporters } = readDemo(folder);
    const credential = reporters.find(({ reporter }) => reporter === "demo-api");
    if (!credential) throw new Error("no reporter demo-api");
    const queueAlarms: ReportAlarm[] = [];
    const reporter = createReportQueue({
      url: `http://127.0.0.1:${portsFrom(port).monitor}`,
      ...credential,
      ackKey: ack,
      onAlarm: (alarm) => void queueAlarms.push(alarm),
    });
    const issuers = clients.map(({ realm, tenant }) => ({
      issuer: issuerTemplate(realm, port).replace("{tenantid}", tenant),
      realm,
      ring: realms[realm].ring,
    }));
    const verifier = await createVerifier({
      trust: fromDiscovery({ issuers, allowLoopbackHttp: true }),
      audience: clients.map(({ audience }) => audience),
      accept: REALMS.map((realm) => ({
        issuer: issuerTemplate(realm, port),
        realm,
        tenants: "any" as const,
      })),
      issuance: { mode: "audit", reporter },
    });
    return new ReportingVerifier(verifier, reporter, queueAlarms);
  }

  take(token: string): void {
    try {
      this.#verifier.verify(token);
      this.#verified += 1;
    } catch (error) {
      if (!(error instanceof TokenError)) throw error;
      this.#refusals.push(error.code);
    }
  }

  /**
   * By its acknowledgements alone: seconds since the audit had certainly read everything. The monitor's word is as
   * old as the acknowledgement that it came with.
   */
  get auditAgeSeconds(): number {
    const { lastAcknowledgedAt, auditAgeSeconds } = this.#reports.status();
    const at = lastAcknowledgedAt ?? this.#openedAt;
    return (Date.now() - at) / 1000 + (auditAgeSeconds ?? 0);
  }

  async flush(): Promise<void> {
    await this.#reports.flush();
  }

  get pending(): number {
    return this.#reports.status().pending;
  }

  figures(): VerifierFigures {
    const { acknowledged, dropped } = this.#reports.status();
    return {
      verified: this.#verified,
      acknowledged,
      refusals: this.#refusals,
      queueAlarms: this.#queueAlarms.map(({ kind, seconds }) =>
        seconds === undefined ? kind : `${kind} ${seconds} s`,
      ),
      dropped,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#verifier[Symbol.asyncDispose]();
    await this.#reports.close();
  }
}
