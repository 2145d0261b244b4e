// Installs the Debian packages that some tests need, where that is possible: apt and root.
// Without them those tests say so and count as skipped; the product itself needs none of them.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

interface DebianPackage {
  readonly name: string;
  /** A file that the package brings. */
  readonly proof: string;
  readonly why: string;
}

const packages: readonly DebianPackage[] = [
  { name: "strace", proof: "/usr/bin/strace", why: "shows the sync before each acknowledgement" },
  {
    name: "postgresql-15",
    proof: "/usr/lib/postgresql/15/bin/postgres",
    why: "what the log's append rate is compared with",
  },
  {
    name: "softhsm2",
    proof: "/usr/bin/softhsm2-util",
    why: "the PKCS#11 token that key custody is tested on",
  },
  { name: "swtpm", proof: "/usr/bin/swtpm", why: "the TPM that the TPM client is tested on" },
  { name: "swtpm-tools", proof: "/usr/bin/swtpm_setup", why: "makes the keys of that TPM" },
  { name: "nginx", proof: "/usr/sbin/nginx", why: "the proxy of docs/guide/public.md" },
  { name: "jq", proof: "/usr/bin/jq", why: "used in docs/guide/public.md" },
  { name: "chromium", proof: "/usr/bin/chromium", why: "shows the status page" },
  {
    name: "systemd",
    proof: "/usr/bin/systemd-socket-activate",
    why: "reads the units of deploy/systemd and hands sockets over; it is not started",
  },
  {
    name: "iproute2",
    proof: "/usr/sbin/ip",
    why: "makes the two machines of docs/guide/deploy.md",
  },
  { name: "prometheus", proof: "/usr/bin/promtool", why: "reads the metrics and the alert rules" },
];

const missing = packages.filter(({ proof }) => !existsSync(proof));
if (missing.length === 0) console.log("setup: everything is installed");
else if (!existsSync("/usr/bin/apt-get") || process.getuid?.() !== 0) {
  for (const { name, why } of missing) console.log(`setup: ${name} is missing: ${why}`);
  console.log(`setup: as root on Debian: apt-get install ${missing.map((p) => p.name).join(" ")}`);
} else install(missing.map(({ name }) => name));

function install(names: readonly string[]): void {
  console.log(`setup: installing ${names.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  for (const args of [
    ["update", "-qq"],
    ["install", "-y", "-qq", "--no-install-recommends", ...names],
  ]) {
    const { status } = spawnSync("apt-get", args, { stdio: ["ignore", "ignore", "inherit"], env });
    if (status !== 0) process.exitCode = 1;
  }
}
