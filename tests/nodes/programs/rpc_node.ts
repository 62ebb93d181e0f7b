/** `remote_node.ts` with remote procedures, which must be there before the node is. */

import "./procedures.ts";
import "./remote_node.ts";
