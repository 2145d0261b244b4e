// Everything a change must pass besides its tests, side by side; prints the output of what failed.
import { spawn } from "node:child_process";

const bin = (name: string): string => `node_modules/.bin/${name}`;
const checks: Record<string, readonly [string, ...string[]]> = {
  types: [bin("tsc"), "--noEmit"],
  lint: [bin("oxlint"), "--type-aware", "--deny-warnings"],
  format: [bin("oxfmt"), "--check"],
  layers: [process.execPath, "tools/check-layers.mjs"],
  imports: [process.execPath, "tools/check-imports.ts"],
  citations: [process.execPath, "tools/check-citations.ts"],
  lock: [process.execPath, "tools/check-lock.ts"],
  errors: [process.execPath, "tools/errors.ts", "--check"],
  api: [process.execPath, "tools/api.ts", "--check"],
  metrics: [process.execPath, "tools/metrics.ts", "--check"],
  unused: [bin("knip")],
};

function run(name: string, [command, ...args]: readonly [string, ...string[]]): Promise<boolean> {
  const start = performance.now();
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.on("close", (code) => {
      console.log(
        `${code === 0 ? "ok  " : "FAIL"} ${name} ${Math.round(performance.now() - start)} ms`,
      );
      if (code !== 0) console.log(output);
      resolve(code === 0);
    });
  });
}

const results = await Promise.all(
  Object.entries(checks).map(([name, command]) => run(name, command)),
);
process.exitCode = results.every(Boolean) ? 0 : 1;
