/** The engine's Worker, with a fault that nobody catches once it is told "throw" or "reject". */

import "../worker.ts";

addEventListener("message", (event) => {
  const { data } = event as MessageEvent<unknown>;
  if (data === "throw") {
    setTimeout(() => {
      throw new Error("planted");
    }, 20);
  } else if (data === "reject") void Promise.reject(new Error("planted"));
});
