// A lockfile made against a registry that lacks some platform's binary makes `npm ci` fail everywhere else:
// every optional dependency that a locked package names must itself be locked.
import { readFileSync } from "node:fs";
const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8")) as {
  packages: Record<string, { optionalDependencies?: Record<string, string>; resolved?: string }>;
};
const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
  Object.keys(optionalDependencies)
    .filter(
      (name) =>
        !(`node_modules/${name}` in packages) && !(`${path}/node_modules/${name}` in packages),
    )
    .map((name) => `${path} -> ${name}`),
);
// A lockfile that names a registry's address ties everybody to that registry.
const addressed = Object.entries(packages).flatMap(([path, { resolved = "" }]) =>
  /^https?:/.test(resolved) ? [`${path} names an address`] : [],
);
const problems = [...missing, ...addressed];
if (Object.keys(packages).length === 0) problems.push("lock: no package found");
if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exitCode = 1;
}
