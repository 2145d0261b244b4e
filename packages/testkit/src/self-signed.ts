import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync } from "node:fs";
import { join } from "node:path";

/** Why tests with certificates are skipped; false where they are not. */
export const NO_OPENSSL: string | false =
  spawnSync("openssl", ["version"]).status === 0 ? false : "openssl is missing";

/**
 * Makes an EC certificate that is its own authority, and its key of mode 0600, both PEM.
 *
 * @param subject common name, then `subjectAltName`s such as `DNS:localhost`
 */
export function makeCertificate(
  folder: string,
  [name, ...alternatives]: readonly [string, ...string[]],
  { file = "tls", days = 90 } = {},
): { readonly certificate: string; readonly key: string } {
  const files = { certificate: join(folder, `${file}.pem`), key: join(folder, `${file}.key`) };
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const subject = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=${alternatives.join(",")}`];
  const out = ["-out", files.certificate, "-keyout", files.key, "-days", String(days)];
  execFileSync("openssl", ["req", "-x509", ...kind, ...subject, ...out], { stdio: "ignore" });
  chmodSync(files.key, 0o600);
  return files;
}
