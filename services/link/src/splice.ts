import type { Socket } from "node:net";

/**
 * Carries bytes both ways until both sides have ended. Each side is read only as fast as the other takes it, and may end
 * its own direction first. A side that breaks takes the other with it.
 */
export function splice(a: Socket, b: Socket): void {
  cutTogether(a, b);
  cutTogether(b, a);
  if (a.destroyed || b.destroyed) {
    a.destroy();
    b.destroy();
    return;
  }
  a.pipe(b);
  b.pipe(a);
}

// One that closed in order has passed its end on already, and the other may still have bytes to write.
function cutTogether(from: Socket, to: Socket): void {
  from.on("close", (hadError: boolean) => {
    if (hadError || !from.readableEnded || !from.writableFinished) to.destroy();
  });
}
