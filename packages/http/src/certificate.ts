import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Server } from "node:https";
import { isIP } from "node:net";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { errorCode, errorLine, readPrivateFile, ServiceError, type EventSink } from "@redoubt/base";
import type { HttpEvent } from "./events.ts";

/** PEM files: the certificate with its chain, and its private key, which only this user may read. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

interface Pair {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Milliseconds since the epoch. */
  readonly endsAt: number;
}

const DAY_MS = 86_400_000;
const WARN_DAYS = 14;
const MAX_BYTES = 65_536;

/**
 * A certificate whose files are looked at again and again: whoever renews it has nothing to restart. A pair that does not
 * belong together, or cannot be read, is told and not used.
 */
export class Certificate {
  readonly #files: CertificateFiles;
  readonly #sink: EventSink<HttpEvent>;
  #pair: Pair;
  #warnedAt = -Infinity;

  /** @throws ServiceError `ERR_HTTP_CERTIFICATE` */
  constructor(files: CertificateFiles, sink: EventSink<HttpEvent>) {
    this.#files = files;
    this.#sink = sink;
    this.#pair = readPair(files);
  }

  get options(): SecureContextOptions {
    const { cert, key } = this.#pair;
    return { cert, key, minVersion: "TLSv1.2" };
  }

  /** Keeps a server at the newest certificate. */
  follow(server: Server, lookMs: number): Disposable {
    const timer = setInterval(() => this.#look(server), lookMs).unref();
    this.#warn();
    return { [Symbol.dispose]: () => clearInterval(timer) };
  }

  #look(server: Server): void {
    try {
      const next = readPair(this.#files);
      if (!next.cert.equals(this.#pair.cert) || !next.key.equals(this.#pair.key)) {
        this.#pair = next;
        server.setSecureContext(this.options);
        this.#sink("certificate_changed", { endsAt: new Date(next.endsAt).toISOString() });
      }
    } catch (error) {
      this.#sink("certificate_refused", { code: errorCode(error), message: errorLine(error) });
    }
    this.#warn();
  }

  /** Once a day from two weeks before its end. */
  #warn(): void {
    const now = Date.now();
    if (this.#pair.endsAt - now > WARN_DAYS * DAY_MS || now - this.#warnedAt < DAY_MS) return;
    this.#warnedAt = now;
    this.#sink("certificate_ends", { endsAt: new Date(this.#pair.endsAt).toISOString() });
  }
}

/**
 * Whether a certificate can be used by a server that is known by these names.
 *
 * @throws ServiceError `ERR_HTTP_CERTIFICATE`
 */
export function checkCertificate(files: CertificateFiles, hosts: readonly string[]): void {
  const leaf = new X509Certificate(readPair(files).cert);
  for (const host of hosts)
    if ((isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host)) === undefined)
      throw new ServiceError("ERR_HTTP_CERTIFICATE", `${files.certificate} is not for ${host}`);
}

function readPair({ certificate, key: keyFile }: CertificateFiles): Pair {
  try {
    const cert = readFileSync(certificate);
    if (cert.length > MAX_BYTES) throw new RangeError(`${certificate} is too large`);
    const key = readPrivateFile(keyFile, MAX_BYTES);
    const leaf = new X509Certificate(cert);
    if (!leaf.checkPrivateKey(createPrivateKey(key)))
      throw new RangeError(`${keyFile} is not the key of ${certificate}`);
    createSecureContext({ cert, key });
    return { cert, key, endsAt: Date.parse(leaf.validTo) };
  } catch (cause) {
    const message = `Certificate cannot be used: ${errorLine(cause)}`;
    throw new ServiceError("ERR_HTTP_CERTIFICATE", message, { cause });
  }
}
