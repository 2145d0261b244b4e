import { Option } from "commander";

export function reasonOption(): Option {
  return new Option("--reason <text>", "why; stays in the registry").makeOptionMandatory();
}
