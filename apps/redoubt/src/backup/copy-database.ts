import { backup, DatabaseSync } from "node:sqlite";
import { ServiceError } from "@redoubt/base";

/**
 * https://sqlite.org/backup.html: what another process writes between two steps begins the copy anew, without end under
 * load. One step reads one moment, and in WAL mode nobody waits for it.
 */
const ALL_PAGES = 2 ** 31 - 1;

/** As of one moment, with what the write-ahead log holds, while others write to it. */
export async function copyDatabase(from: string, to: string): Promise<void> {
  const source = new DatabaseSync(from, { readOnly: true });
  try {
    await backup(source, to, { rate: ALL_PAGES });
  } finally {
    source.close();
  }
  const copy = new DatabaseSync(to);
  try {
    // One file, with nothing beside it; the process that opens it sets its own mode.
    copy.exec("PRAGMA journal_mode = DELETE");
    const [row] = copy.prepare("PRAGMA quick_check").all();
    if (row?.["quick_check"] !== "ok")
      throw new ServiceError("ERR_BACKUP", `${from} is damaged: ${String(row?.["quick_check"])}`);
  } finally {
    copy.close();
  }
}
