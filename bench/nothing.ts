/** A process that does nothing: what starting Deno costs by itself. */

import { serve } from "./serve.ts";

await serve({ pid: Deno.pid }, () => undefined);
