// Runs the named test files in this process and ends at the first failure. Exit code 0 only after a whole run.
import { run } from "node:test";

process.exitCode = 1;
const results = run({ files: process.argv.slice(2), isolation: "none", concurrency: true });
results.on("data", ({ type, data }) => {
  if (type === "test:fail" && data.todo === undefined) {
    console.log(data.file ?? "");
    process.exit(1);
  }
  if (type !== "test:summary" || data.file !== undefined) return;
  if (data.counts.passed + data.counts.skipped > 0) process.exitCode = 0;
});
