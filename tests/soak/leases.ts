// Fifty kills (or as many as the first argument says) of broker, gateways and signers under load, with leases that are
// renewed every five seconds. Fails where a token was lost, or something did not come back.
import { killed } from "./process-faults.ts";
import { Machine } from "./machine.ts";
import { soak } from "./soak.ts";
import { violationsOf } from "./violations.ts";

const SERVICES = [
  "broker",
  "custody-consumer",
  "signer-consumer",
  "custody-enterprise",
  "signer-enterprise",
] as const;
const kills = Number(process.argv[2] ?? 50);

await using machine = await Machine.start({ leaseSeconds: 10 });
const faults = Array.from({ length: kills }, (_, i) =>
  killed(SERVICES[i % SERVICES.length] ?? "broker"),
);
const result = await soak(machine, {
  faults,
  onLine: (line) => console.log(line),
  settleMs: 60_000,
});
// A gateway that was killed is a notice of its signer's: custody was away.
const violations = violationsOf(result).filter(
  (line) => !/notice event custody-trouble/.test(line),
);
for (const violation of violations) console.log(`VIOLATION ${violation}`);
console.log(
  JSON.stringify({
    kills: result.rounds,
    tokens: result.tokens,
    lost: result.lost.length,
    notBack: result.notBack.length,
    violations: violations.length,
  }),
);
if (violations.length > 0) process.exitCode = 1;
