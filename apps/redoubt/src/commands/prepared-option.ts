import { Option } from "commander";

export function preparedOption(): Option {
  return new Option("--prepared", "take up the next key that an earlier call made");
}
